// The world around the engine: a clock, an AXI4-Lite master, and a DRAM model behind its AXI4 master.
//
// One `tick` is one clock cycle. The model registers its inputs (see build.py), so what is driven before a rising edge
// are the inputs of the cycle that begins there; after the edge the outputs of that cycle can be read, and its handshakes
// are sampled. No answer of the DRAM depends on the engine's outputs of the same cycle.
//
// DRAM: a read burst's first beat comes `latency` cycles after its address, a write's response as long after its last beat;
// reads and writes share `bandwidth` bytes a cycle, through a bucket of one beat more. Bursts of one ID are answered in order,
// those of different IDs too, unless stalls are asked for; then their beats are mixed at random.
//
// The engine's side of the AXI rules is checked: an offer stays until it is accepted (`Channel`), bursts are INCR, fill the
// bus and stay within 4 KiB (`accept`), and WLAST comes with the last beat (`write_memory`).

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vcleave.h"
#include "dram.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

static std::string printed;  // what the design has printed: the text of a failed assertion

int cleave_print(const char* format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printed += text;
    return length;
}

void vl_stop(const char* file, int line, const char*) {
    throw std::runtime_error("assertion failed at " + std::string(file) + ":" + std::to_string(line) + ": " + printed);
}
void vl_finish(const char* file, int line, const char* scope) { vl_stop(file, line, scope); }
void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

namespace {

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

constexpr size_t BUS = sizeof(Vcleave::m_axi_rdata);  // bytes of a beat
constexpr int BUS_TIMEOUT = 100000;                   // cycles for one register access

using Beat = std::array<uint8_t, BUS>;
using Strobes = std::array<uint8_t, BUS / 8>;  // a bit for each byte

struct Burst {
    uint32_t id;
    uint64_t address;
    uint32_t beats;
    uint64_t due;  // first cycle in which it may be answered
};
struct WriteBeat {
    Beat data;
    Strobes strobes;
    bool last;
};
struct WriteAnswer {
    uint32_t id;
    Response response;
    uint64_t due;
};

void require(bool holds, const char* rule) {
    if (!holds) throw std::runtime_error(std::string("AXI: ") + rule);
}

// Checks that a channel's payload, once offered, stays until it is accepted.
template <typename Payload>
class Channel {
  public:
    explicit Channel(const char* name) : name(name) {}
    // Give true in the cycle of a transfer.
    bool transfer(bool valid, bool ready, const Payload& payload) {
        if (waiting) require(valid && payload == held, name);
        waiting = valid && !ready;
        if (waiting) held = payload;
        return valid && ready;
    }
    void reset() { waiting = false; }

    bool waiting = false;

  private:
    const char* name;
    Payload held{};
};

struct Address {
    uint64_t address;
    uint32_t id, length, size, burst;
    bool operator==(const Address& other) const {
        return address == other.address && id == other.id && length == other.length && size == other.size
            && burst == other.burst;
    }
};
struct Data {
    Beat data;
    Strobes strobes;
    bool last;
    bool operator==(const Data& other) const {
        return data == other.data && strobes == other.strobes && last == other.last;
    }
};

class Machine {
  public:
    Machine(
        uint8_t* memory, uint64_t bytes, uint64_t base, uint64_t latency, double bandwidth, uint64_t seed, double stalls,
        const char* trace)
        : memory(memory), bytes(bytes), base(base), latency(latency), bandwidth(bandwidth), random(seed * 2654435761u + 88172645463325252u),
          stall_limit(static_cast<uint64_t>(stalls * 4294967296.0)), mixed(stalls > 0) {
        context.randReset(2);  // memories start with noise: nothing may rely on their contents
        context.randSeed(static_cast<int>(seed % 2147483647 + 1));
        top = std::make_unique<Vcleave>(&context, "cleave");
#if VM_TRACE
        if (trace != nullptr) {
            context.traceEverOn(true);
            vcd = std::make_unique<VerilatedVcdC>();
            top->trace(vcd.get(), 99);
            vcd->open(trace);
        }
#endif
        (void)trace;
    }

    ~Machine() {
        top->final();
#if VM_TRACE
        if (vcd) vcd->close();
#endif
    }

    std::vector<std::pair<uint64_t, uint8_t>> faults;  // bytes of memory, by address, that answer with an error
    uint64_t cycle = 0;
    std::string message;

    // Reset engine and DRAM; memory contents, faults and the cycle count stay.
    void reset(int cycles) {
        for (auto& queue : reads) queue.clear();
        writes.clear();
        write_beats.clear();
        answers.clear();
        read_order.clear();
        read_busy = write_busy = false;
        ar.reset(), aw.reset(), w.reset();
        lite_idle();
        top->rst = 1;
        for (int i = 0; i < cycles; i++) tick();
        top->rst = 0;
    }

    // Run until the interrupt (a port that Verilator renames, as some compilers know the word); false if it did not come within so many cycles.
    bool run(uint64_t cycles) {
        for (uint64_t i = 0; i < cycles; i++) {
            tick();
            if (top->__SYM__interrupt) return true;
        }
        return false;
    }

    void tick() {
        drive();
        top->clk = 1;
        top->eval();
        dump(2 * cycle);
        top->clk = 0;
        top->eval();
        dump(2 * cycle + 1);
        const Address read{top->m_axi_araddr, top->m_axi_arid, top->m_axi_arlen, top->m_axi_arsize, top->m_axi_arburst};
        const Address write{top->m_axi_awaddr, top->m_axi_awid, top->m_axi_awlen, top->m_axi_awsize, top->m_axi_awburst};
        const bool running = !top->rst;
        const bool ar_transfer = running && ar.transfer(top->m_axi_arvalid, top->m_axi_arready, read);
        const bool aw_transfer = running && aw.transfer(top->m_axi_awvalid, top->m_axi_awready, write);
        bool w_transfer = false;
        if (running && (top->m_axi_wvalid || w.waiting)) {
            Data data{{}, {}, static_cast<bool>(top->m_axi_wlast)};
            std::memcpy(data.data.data(), &top->m_axi_wdata, BUS);
            std::memcpy(data.strobes.data(), &top->m_axi_wstrb, BUS / 8);
            w_transfer = w.transfer(top->m_axi_wvalid, top->m_axi_wready, data);
            if (w_transfer) write_beats.push_back({data.data, data.strobes, data.last});
        }
        const bool r_transfer = top->m_axi_rvalid && top->m_axi_rready;
        const bool b_transfer = top->m_axi_bvalid && top->m_axi_bready;
        lite = {
            static_cast<bool>(top->s_axil_awvalid && top->s_axil_awready),
            static_cast<bool>(top->s_axil_wvalid && top->s_axil_wready),
            static_cast<bool>(top->s_axil_bvalid && top->s_axil_bready),
            static_cast<bool>(top->s_axil_arvalid && top->s_axil_arready),
            static_cast<bool>(top->s_axil_rvalid && top->s_axil_rready),
            top->s_axil_bresp,
            top->s_axil_rresp,
            top->s_axil_rdata,
        };
        if (ar_transfer) {
            reads[read.id & 1].push_back(accept(read));
            read_order.push_back(read.id & 1);
        }
        if (aw_transfer) writes.push_back(accept(write));
        if (r_transfer) read_busy = false;
        if (b_transfer) write_busy = false;
        cycle++;
    }

    // One register access; gives the response, or -1 if the engine did not answer.
    int write_register(uint32_t offset, uint32_t value) {
        bool address = true, data = true;
        for (int i = 0; i < BUS_TIMEOUT; i++) {
            // Once offered, a payload stays; which comes first is up to the stalls.
            top->s_axil_awvalid = address && (top->s_axil_awvalid || !stalled());
            top->s_axil_wvalid = data && (top->s_axil_wvalid || !stalled());
            top->s_axil_awaddr = offset;
            top->s_axil_wdata = value;
            top->s_axil_wstrb = 0xF;
            top->s_axil_bready = !stalled();
            tick();
            address = address && !lite.aw;
            data = data && !lite.w;
            if (lite.b) {
                lite_idle();
                return lite.b_response;
            }
        }
        lite_idle();
        return -1;
    }

    int read_register(uint32_t offset, uint32_t* value) {
        bool address = true;
        for (int i = 0; i < BUS_TIMEOUT; i++) {
            top->s_axil_arvalid = address && (top->s_axil_arvalid || !stalled());
            top->s_axil_araddr = offset;
            top->s_axil_rready = !stalled();
            tick();
            address = address && !lite.ar;
            if (lite.r) {
                lite_idle();
                *value = lite.r_data;
                return lite.r_response;
            }
        }
        lite_idle();
        return -1;
    }

  private:
    VerilatedContext context;
    std::unique_ptr<Vcleave> top;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> vcd;
#endif
    uint8_t* const memory;
    const uint64_t bytes, base, latency;
    const double bandwidth;
    uint64_t random;
    const uint64_t stall_limit;
    const bool mixed;

    Channel<Address> ar{"AR changed before it was accepted"}, aw{"AW changed before it was accepted"};
    Channel<Data> w{"W changed before it was accepted"};
    std::array<std::deque<Burst>, 2> reads;  // by ID
    std::deque<uint32_t> read_order;         // IDs of the accepted bursts
    std::deque<Burst> writes;
    std::deque<WriteBeat> write_beats;
    std::deque<WriteAnswer> answers;
    Response write_response = OKAY;  // of the beats so far
    bool read_busy = false, write_busy = false;  // an R beat, a B answer is offered
    bool writes_first = false;
    double tokens = 0;
    struct {
        bool aw, w, b, ar, r;
        uint8_t b_response, r_response;
        uint32_t r_data;
    } lite{};

    bool stalled() {
        if (stall_limit == 0) return false;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;  // xorshift64
        return (random >> 32) < stall_limit;
    }

    void dump(uint64_t time) {
#if VM_TRACE
        if (vcd) vcd->dump(time);
#endif
        (void)time;
    }

    void lite_idle() {
        top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_arvalid = top->s_axil_bready = top->s_axil_rready = 0;
    }

    Burst accept(const Address& a) {
        const uint64_t first = a.address / BUS * BUS, end = first + (a.length + 1) * BUS;
        require((1u << a.size) == BUS, "a burst's beats must fill the bus");
        require(a.burst == 1, "bursts must be INCR");
        require(a.address / 4096 == (end - 1) / 4096, "a burst must not cross a 4 KiB boundary");
        return {a.id, a.address, a.length + 1, cycle + std::max<uint64_t>(latency, 1)};
    }

    // Response of a beat: outside memory DECERR; beats with a faulty byte as asked for.
    Response respond(uint64_t address) const {
        const uint64_t beat = address / BUS * BUS;
        for (const auto& [fault, response] : faults)
            if (beat <= fault && fault < beat + BUS) return static_cast<Response>(response);
        return beat < base || beat - base + BUS > bytes ? DECERR : OKAY;
    }

    void drive() {
        tokens = std::min(tokens + bandwidth, BUS + bandwidth);
        top->m_axi_arready = reads[0].size() + reads[1].size() < MOST_BURSTS && !stalled();
        top->m_axi_awready = writes.size() < MOST_BURSTS && !stalled();
        top->m_axi_wready = write_beats.size() < MOST_BEATS && !stalled();
        // Whoever was served last waits when the bandwidth is not enough for both.
        const bool first = writes_first;
        if (first) write_memory();
        read_memory();
        if (!first) write_memory();
        if (!write_busy && !answers.empty() && answers.front().due <= cycle && !stalled()) {
            top->m_axi_bid = answers.front().id;
            top->m_axi_bresp = answers.front().response;
            answers.pop_front();
            write_busy = true;
        }
        top->m_axi_rvalid = read_busy;
        top->m_axi_bvalid = write_busy;
    }

    void read_memory() {
        if (read_busy || read_order.empty() || tokens < BUS || stalled()) return;
        auto order = read_order.begin();
        if (mixed && stalled()) order = std::find(order, read_order.end(), 1 - *order);
        if (order == read_order.end()) return;
        auto& queue = reads[*order];
        Burst& burst = queue.front();
        if (burst.due > cycle) return;
        const Response response = respond(burst.address);
        Beat beat{};
        if (response == OKAY) std::memcpy(beat.data(), &memory[burst.address / BUS * BUS - base], BUS);
        std::memcpy(&top->m_axi_rdata, beat.data(), BUS);
        top->m_axi_rid = burst.id;
        top->m_axi_rresp = response;
        top->m_axi_rlast = burst.beats == 1;
        burst.address = burst.address / BUS * BUS + BUS;
        if (--burst.beats == 0) {
            queue.pop_front();
            read_order.erase(order);
        }
        tokens -= BUS;
        read_busy = true;
        writes_first = true;
    }

    void write_memory() {
        if (writes.empty() || write_beats.empty() || tokens < BUS) return;
        Burst& burst = writes.front();
        const WriteBeat& beat = write_beats.front();
        require(beat.last == (burst.beats == 1), "WLAST must come with the burst's last beat, and only then");
        const Response response = respond(burst.address);
        if (response == OKAY) {
            uint8_t* const place = &memory[burst.address / BUS * BUS - base];
            for (size_t i = 0; i < BUS; i++)
                if (beat.strobes[i / 8] >> i % 8 & 1) place[i] = beat.data[i];
        }
        write_response = std::max(write_response, response);
        burst.address = burst.address / BUS * BUS + BUS;
        if (--burst.beats == 0) {
            answers.push_back({burst.id, write_response, cycle + std::max<uint64_t>(latency, 1)});
            write_response = OKAY;
            writes.pop_front();
        }
        write_beats.pop_front();
        tokens -= BUS;
        writes_first = false;
    }
};

// Run `action`; a failed assertion or broken bus rule gives -2, and its text to `cleave_message`.
template <typename Action>
int guarded(Machine* machine, Action action) {
    printed.clear();
    try {
        return action();
    } catch (const std::exception& error) {
        machine->message = error.what();
        return -2;
    }
}

}  // namespace

extern "C" {
Machine* cleave_create(
    uint8_t* memory, uint64_t bytes, uint64_t base, uint64_t latency, double bandwidth, uint64_t seed, double stalls,
    const char* trace) {
    return new Machine(memory, bytes, base, latency, bandwidth, seed, stalls, trace);
}
void cleave_destroy(Machine* machine) { delete machine; }
uint64_t cleave_cycle(Machine* machine) { return machine->cycle; }
const char* cleave_message(Machine* machine) { return machine->message.c_str(); }
void cleave_fault(Machine* machine, uint64_t address, uint8_t response) { machine->faults.emplace_back(address, response); }
void cleave_clear_faults(Machine* machine) { machine->faults.clear(); }
int cleave_reset(Machine* machine, int cycles) {
    return guarded(machine, [=] { return machine->reset(cycles), 0; });
}
int cleave_step(Machine* machine, uint64_t cycles) {
    return guarded(machine, [=] {
        for (uint64_t i = 0; i < cycles; i++) machine->tick();
        return 0;
    });
}
int cleave_run(Machine* machine, uint64_t cycles) {
    return guarded(machine, [=] { return static_cast<int>(machine->run(cycles)); });
}
int cleave_write_register(Machine* machine, uint32_t offset, uint32_t value) {
    return guarded(machine, [=] { return machine->write_register(offset, value); });
}
int cleave_read_register(Machine* machine, uint32_t offset, uint32_t* value) {
    return guarded(machine, [=] { return machine->read_register(offset, value); });
}
}
