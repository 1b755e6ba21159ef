// The timing model: the engine's control without its data, from one cycle in which something happens to the next.
//
// Each part below stands for the component of the same name in `rtl/cleave/engine`, register by register. A cycle is worked out
// in two steps, as in hardware: what is handed over in it, from the registers; and then the registers after it. When no register
// has changed, nothing can happen before the next due time - an answer of the DRAM, a counter of a sequencer, a row that leaves
// the array - and the clock goes there at once. So rows that stream through the array cost nothing.
//
// `timing_layout.h` is written by `timing.py`, from the configuration's and the instructions' own tables.
#include <algorithm>
#include <array>
#include <cstdint>
#include <queue>
#include <vector>

#include "dram.h"
#include "timing_layout.h"

namespace {

using Cycle = int64_t;
constexpr Cycle NEVER = INT64_MAX;
using Flag = uint8_t;  // what containers hold of a bool

// A ring of words, oldest first.
template <typename Word>
class Ring {
  public:
    bool empty() const { return count == 0; }
    size_t size() const { return count; }
    Word& front() { return words[first]; }
    const Word& front() const { return words[first]; }
    const Word& operator[](size_t i) const { return words[(first + i) & (words.size() - 1)]; }
    void push(const Word& word) {
        if (count == words.size()) grow();
        words[(first + count++) & (words.size() - 1)] = word;
    }
    void pop() {
        first = (first + 1) & (words.size() - 1);
        count--;
    }

  private:
    std::vector<Word> words = std::vector<Word>(16);
    size_t first = 0, count = 0;

    void grow() {
        std::vector<Word> more(2 * words.size());
        for (size_t i = 0; i < count; i++) more[i] = (*this)[i];
        words.swap(more);
        first = 0;
    }
};

// Amaranth's SyncFIFOBuffered: a memory with one word less, and a register behind it.
template <typename Word>
class Queue {
  public:
    explicit Queue(int64_t depth) : inner_depth(depth - 1) {}
    bool writable() const { return inner.size() != inner_depth; }
    bool readable() const { return filled; }
    bool empty() const { return !filled && inner.empty(); }
    const Word& front() const { return word; }
    // The end of a cycle; gives whether anything has changed.
    bool step(const Word* written, bool read) {
        const bool moves = !inner.empty() && (!filled || read);
        const bool changed = moves || written != nullptr || (filled && read);
        if (moves) {
            word = inner.front();
            inner.pop();
            filled = true;
        } else if (read) {
            filled = false;
        }
        if (written != nullptr) inner.push(*written);
        return changed;
    }

  private:
    const size_t inner_depth;
    Ring<Word> inner;
    Word word{};
    bool filled = false;
};

// Quotient and remainder by a power of two: bytes of a beat, beats of a page. A division takes many times as long.
inline int64_t over(int64_t value, int64_t power) { return value >> __builtin_ctzll(power); }
inline int64_t within(int64_t value, int64_t power) { return value & (power - 1); }

// `Bursts`: a range of bytes cut into bursts of whole beats that do not cross a page.
struct Bursts {
    bool busy = false;
    int64_t beat = 0, left = 0;

    int64_t page_left(int64_t page) const { return page - 1 - within(beat, page); }
    bool final(int64_t page) const { return left <= page_left(page); }
    int64_t length(int64_t page) const { return std::min(left, page_left(page)) + 1; }
    bool ready(bool burst_ready, int64_t page) const { return !busy || (burst_ready && final(page)); }
    void give(int64_t page) {
        if (final(page)) busy = false;
        left -= page_left(page) + 1;
        beat = beat - within(beat, page) + page;
    }
    void take(int64_t address, int64_t bytes, int64_t beat_bytes) {
        busy = true;
        beat = over(address, beat_bytes);
        left = over(within(address, beat_bytes) + bytes - 1, beat_bytes);
    }
};

enum Client { LOAD_CLIENT, FETCH_CLIENT };

// The memory behind the bus, as the simulator's harness has it.
class Dram {
  public:
    explicit Dram(const Configuration& c, double bandwidth, int64_t latency)
        : bandwidth(bandwidth), bus(static_cast<double>(c.axi_bytes)), latency(std::max<int64_t>(latency, 1)), tokens(bus + bandwidth) {}

    bool ar_ready = false, aw_ready = false, w_ready = false;
    bool r_valid = false, r_last = false, b_valid = false;
    Client r_client = LOAD_CLIENT;

    // What is offered and accepted in this cycle.
    void drive(Cycle now) {
        refill(now);
        ar_ready = reads.size() < MOST_BURSTS;
        aw_ready = writes.size() < MOST_BURSTS;
        w_ready = write_beats.size() < MOST_BEATS;
        const bool first = writes_first;
        if (first) write(now);
        read(now);
        if (!first) write(now);
        b_valid = !answers.empty() && answers.front() <= now;
        if (b_valid) answers.pop();
    }
    // What was transferred in this cycle; gives whether anything has changed.
    bool step(Cycle now, const int64_t* ar_beats, Client client, const int64_t* aw_beats, bool w_transfer, bool w_last, bool r_transfer) {
        const bool changed = served || ar_beats || aw_beats || w_transfer || r_transfer || b_valid;
        if (ar_beats) reads.push({client, *ar_beats, now + latency});
        if (aw_beats) writes.push(*aw_beats);
        if (w_transfer) write_beats.push(w_last);
        if (r_transfer) r_valid = false;
        served = false;
        return changed;
    }
    Cycle next(Cycle now) const {
        Cycle due = NEVER;
        if (!r_valid && !reads.empty()) due = std::max(reads.front().due, affordable(now));
        if (!writes.empty() && !write_beats.empty()) due = std::min(due, affordable(now));
        if (!answers.empty()) due = std::min(due, answers.front());
        return due;
    }

  private:
    struct Read {
        Client client;
        int64_t beats;
        Cycle due;
    };
    const double bandwidth, bus;
    const int64_t latency;
    double tokens;
    Cycle refilled = -1;
    bool writes_first = false, served = false;
    Ring<Read> reads;
    Ring<int64_t> writes;    // beats left
    Ring<Flag> write_beats;  // last of its burst
    Ring<Cycle> answers;

    void refill(Cycle now) {
        const double most = bus + bandwidth;
        for (; refilled < now && tokens < most; refilled++) tokens = std::min(tokens + bandwidth, most);
        refilled = now;
    }
    // The first later cycle in which a beat can be paid for.
    Cycle affordable(Cycle now) const {
        double then = tokens;
        do {
            then += bandwidth;
            now++;
        } while (then < bus);
        return now;
    }
    void read(Cycle now) {
        if (r_valid || reads.empty() || tokens < bus || reads.front().due > now) return;
        Read& burst = reads.front();
        r_valid = true;
        r_client = burst.client;
        r_last = --burst.beats == 0;
        if (r_last) reads.pop();
        tokens -= bus;
        writes_first = served = true;
    }
    void write(Cycle now) {
        if (writes.empty() || write_beats.empty() || tokens < bus) return;
        write_beats.pop();
        if (--writes.front() == 0) {
            writes.pop();
            answers.push(now + latency);
        }
        tokens -= bus;
        writes_first = false;
        served = true;
    }
};

// What all parts share.
struct Context {
    const Configuration c;
    const Instruction* const program;
    const int64_t length;
    const Memory memory;
    Result* const results;
    Total& total;
    bool changed = false;  // a register has, in this cycle
};

// `Dependencies`: tokens by giver and taker.
class Tokens {
  public:
    explicit Tokens(int64_t units) : units(units), counts(units * units) {}
    bool missing(int64_t taker, int64_t wait) const {
        for (int64_t giver = 0; wait >> giver; giver++)
            if (wait >> giver & 1 && counts[giver * units + taker] == 0) return true;
        return false;
    }
    void give(int64_t unit, int64_t signal) { given.emplace_back(unit, signal); }
    void take(int64_t unit, int64_t wait) { taken.emplace_back(unit, wait); }
    bool changed() const { return moved; }  // in the cycle before
    bool step() {
        moved = !given.empty() || !taken.empty();
        for (const auto& [giver, mask] : given)
            for (int64_t taker = 0; mask >> taker; taker++) counts[giver * units + taker] += mask >> taker & 1;
        for (const auto& [taker, mask] : taken)
            for (int64_t giver = 0; mask >> giver; giver++) counts[giver * units + taker] -= mask >> giver & 1;
        given.clear();
        taken.clear();
        return moved;
    }

  private:
    const int64_t units;
    bool moved = false;
    std::vector<int64_t> counts;
    std::vector<std::pair<int64_t, int64_t>> given, taken;
};

// One client of the read master, and its bursts.
struct ReadClient {
    Bursts bursts;
    int64_t outstanding = 0;
    bool bursting = false;     // a burst goes to AR in this cycle
    bool burst_ready = false;  // or could
    bool beat = false;         // a beat comes in this cycle

    bool ready(int64_t page) const { return bursts.ready(burst_ready, page); }
    bool busy() const { return bursts.busy || outstanding; }
};

// `Fetch`, and the `Dispatcher`'s timing.
class Fetch {
  public:
    explicit Fetch(Context& context) : x(context) {}
    ReadClient client;
    bool done = false;

    // Gives the instruction that is dispatched in this cycle, or -1; `writable` says whether its queues have room.
    template <typename Writable>
    int64_t cycle(Writable writable) {
        const Configuration& c = x.c;
        const int64_t page = c.burst_page;
        const bool run = state == RUN, last_piece = piece == c.fetch_pieces - 1;
        const bool gathers = run && c.fetch_gathers && beats && !last_piece;
        const bool gives = run && beats && (!c.fetch_gathers || last_piece) && writable(x.program[fetched]);
        const bool reads = c.fetch_gathers ? gathers || gives : gives && (last_piece || fetched + 1 == x.length);
        const int64_t given = gives ? fetched : -1;

        int64_t batch = 0;
        const bool ready = client.ready(page);
        if (client.bursting) client.bursts.give(page);
        if (run && ready && room && asked < x.length) {
            const int64_t address = x.memory.base + x.memory.program + asked * INSTRUCTION_SIZE;
            batch = std::min(x.length - asked, c.fetch_batch - address / INSTRUCTION_SIZE % c.fetch_batch);
            if (room < batch) batch = 0;
            if (batch) client.bursts.take(address, batch * INSTRUCTION_SIZE, c.axi_bytes);
        }
        x.changed |= gathers || gives || batch || client.beat || client.bursting;
        asked += batch;
        room += gives - batch;
        beats += client.beat - reads;
        if (gathers) piece++;
        if (gives) {
            piece = c.fetch_gathers ? 0 : (piece + 1) % c.fetch_pieces;
            fetched++;
        }
        if (state < RUN) {
            x.changed = true;
            state = static_cast<State>(state + 1);
            if (state == CLIP) {
                room = c.fetch_room;
                done = x.length == 0;
                if (done) state = ENDED;
            } else if (state == CHECK && !c.fetch_gathers) {
                piece = (x.memory.base + x.memory.program) / INSTRUCTION_SIZE % c.fetch_pieces;
            }
        } else if (gives && fetched == x.length) {
            done = true;
            state = ENDED;
        }
        return given;
    }

  private:
    Context& x;
    enum State { IDLE, CLIP, CHECK, RUN, ENDED } state = IDLE;
    int64_t asked = 0, fetched = 0, room = 0, beats = 0, piece = 0;
};

// A `Sequencer` and its slab.
struct Pass {
    Cycle start;
    int64_t rows, accumulator;
    bool accumulates, paired;
};

struct Slab {
    explicit Slab(int64_t depth) : queue(depth) {}
    Queue<int64_t> queue;
    bool first = true, loaded = false;
    int64_t left = 0, accumulator = 0, tail = 0;
    Cycle loading = 0, free = 0;  // when these counters come to 0
    Ring<Pass> passes;            // whose rows are still on their way
    // In this cycle:
    bool ready_load = false, ready_start = false, load = false, start = false;
    int64_t cause = CAUSE_EMPTY;
};

class Sequencers {
  public:
    Sequencers(Context& context, Tokens& tokens) : x(context), tokens(tokens), slabs(context.c.slabs, Slab(context.c.queue_depth)) {}

    bool writable(const Instruction& matmul) const {
        for (int64_t s = matmul.first; s < matmul.first + matmul.count; s++)
            if (!slabs[s].queue.writable()) return false;
        return true;
    }
    bool busy(Cycle now) const {
        return now < busy_until || std::any_of(slabs.begin(), slabs.end(), [](const Slab& slab) { return !slab.queue.empty(); });
    }
    // Whether a pass in `slab` reads the half of its accumulators in which `row` is, in `group`'s first column.
    bool collides(Cycle now, int64_t slab, int64_t lane, int64_t group, int64_t row) const {
        const Cycle then = now - x.c.seam_delay - group * x.c.read_columns;
        const Ring<Pass>& passes = slabs[slab].passes;
        for (size_t i = 0; i < passes.size(); i++) {
            const Pass& pass = passes[i];
            if (pass.start <= then && then < pass.start + pass.rows)
                return pass.accumulates && (lane == 0 || pass.paired) && ((pass.accumulator + then - pass.start - row) & 1) == 0;
        }
        return false;
    }

    // `dispatched`: a MATMUL that is put into its queues in this cycle, or -1.
    void cycle(Cycle now, int64_t dispatched) {
        if (now < due && dispatched < 0 && !tokens.changed()) return;
        const bool others = x.changed;
        x.changed = false;
        account(now);
        step(now, dispatched);
        due = x.changed ? now + 1 : soonest(now);
        x.changed |= others;
    }

    // When something can happen next, if nothing else does.
    Cycle next() const { return due; }

    // What the counters have of the cycles before `now` since the last step, in which nothing has changed here.
    void account(Cycle now) {
        for (Slab& slab : slabs) {
            int64_t streaming = 0;
            for (size_t i = 0; i < slab.passes.size(); i++) {
                const Pass& pass = slab.passes[i];
                streaming += std::max<int64_t>(0, std::min(now, pass.start + pass.rows) - std::max(accounted, pass.start));
            }
            x.total.streaming += streaming;
            x.total.stalls[slab.cause] += now - accounted - streaming;
            if (slab.queue.readable()) x.results[slab.queue.front()].stalls[slab.cause] += now - accounted - streaming;
            while (!slab.passes.empty() && slab.passes.front().start + slab.passes.front().rows + x.c.row_latency < now) slab.passes.pop();
        }
        accounted = now;
    }

    int64_t waiting() const {
        for (const Slab& slab : slabs)
            if (!slab.queue.empty()) return slab.queue.front();
        return -1;
    }
    Queue<int64_t>& queue(int64_t slab) { return slabs[slab].queue; }

  private:
    Context& x;
    Tokens& tokens;
    std::vector<Slab> slabs;
    struct Signal {
        Cycle due;
        int64_t slab, index;
        bool operator<(const Signal& other) const { return due > other.due; }
    };
    std::priority_queue<Signal> signals;  // soonest first
    Cycle busy_until = 0, first_start = NEVER;

    Cycle due = 0, accounted = 0;

    void step(Cycle now, int64_t dispatched) {
        const Configuration& c = x.c;
        while (!signals.empty() && signals.top().due == now) {
            const Signal& signal = signals.top();
            x.results[signal.index].end = now;
            tokens.give(UNIT_SLAB + signal.slab, x.program[signal.index].signal);
            signals.pop();
        }
        // Ready flows north.
        for (int64_t s = c.slabs - 1; s >= 0; s--) {
            Slab& slab = slabs[s];
            slab.ready_load = slab.ready_start = slab.load = slab.start = false;
            if (!slab.queue.readable()) continue;
            const View v = view(s);
            if (!v.leads) {
                slab.ready_load = can_load(slab, v, now) && (v.alone || slabs[s + 1].ready_load);
                slab.ready_start = can_start(slab, v, now) && (v.alone || slabs[s + 1].ready_start);
            }
        }
        // Start flows south.
        bool last = false;
        int64_t tail = 0;
        for (int64_t s = 0; s < c.slabs; s++) {
            Slab& slab = slabs[s];
            if (!slab.queue.readable()) {
                slab.cause = CAUSE_EMPTY;
                continue;
            }
            const View v = view(s);
            const Instruction& i = *v.i;
            if (v.leads) {
                const bool load_token = i.wait >> UNIT_LOAD & 1 && tokens.missing(UNIT_SLAB + s, 1 << UNIT_LOAD);
                const bool drain_token = i.wait >> UNIT_DRAIN & 1 && tokens.missing(UNIT_SLAB + s, 1 << UNIT_DRAIN);
                const bool go = !load_token && !drain_token, written = slab.loading - now < c.cells + v.scale_words;
                const bool south_load = v.alone || slabs[s + 1].ready_load, south_start = v.alone || slabs[s + 1].ready_start;
                const bool loads = can_load(slab, v, now), starts = can_start(slab, v, now);
                slab.load = go && !slab.loaded && loads && south_load;
                slab.start = go && slab.loaded && written && starts && south_start;
                last = v.left == 1;
                tail = v.accumulator + i.rows - 1;
                slab.cause = load_token                                                                       ? CAUSE_LOAD
                             : drain_token                                                                    ? CAUSE_DRAIN
                             : slab.loaded ? (written && starts && !south_start ? CAUSE_PARTITION
                                              : written && hazard(slab, v, now) ? CAUSE_ACCUMULATOR
                                                                                : CAUSE_STATIONARY)
                                           : (loads && !south_load ? CAUSE_PARTITION : CAUSE_STATIONARY);
                if (slab.load && slab.first) x.results[slab.queue.front()].start = now;
                if (slab.start) begin(now, s, i, last);
            } else if (s > 0 && joined(s)) {
                slab.load = slabs[s - 1].load;
                slab.start = slabs[s - 1].start;
                slab.cause = slabs[s - 1].cause;
            } else {
                slab.cause = CAUSE_PARTITION;
            }
            if (slab.load) {
                slab.loaded = v.leads;
                slab.loading = now + 1 + c.load_cycles - 1 + v.scale_words + v.offset;
                busy_until = std::max(busy_until, now + 1 + v.offset + c.load_cycles + v.scale_words);
            }
            if (slab.start) {
                slab.loaded = false;
                slab.free = now + 1 + i.rows + v.offset + c.quiet - 1;
                slab.tail = tail;
                slab.first = last;
                slab.left = v.left - 1;
                slab.accumulator = v.accumulator + i.accumulator_step;
                if (slab.loading - now <= v.offset) slab.loading = now + 1 + v.offset;
                stream(now, s, i, v);
            }
            x.changed |= slab.load || slab.start;
        }
        for (int64_t s = 0; s < c.slabs; s++) {
            Slab& slab = slabs[s];
            const bool pops = slab.start && slab.first;
            const bool comes = dispatched >= 0 && x.program[dispatched].first <= s && s < x.program[dispatched].first + x.program[dispatched].count;
            if (pops && view(s).leads) tokens.take(UNIT_SLAB + s, x.program[slab.queue.front()].wait);
            if (pops || comes || !slab.queue.empty()) x.changed |= slab.queue.step(comes ? &dispatched : nullptr, pops);
        }
    }

    Cycle soonest(Cycle now) const {
        const Configuration& c = x.c;
        Cycle then = signals.empty() ? NEVER : signals.top().due;
        const auto at = [&](Cycle some) {
            if (some > now) then = std::min(then, some);
        };
        for (int64_t s = 0; s < c.slabs; s++) {
            const Slab& slab = slabs[s];
            if (!slab.queue.readable()) continue;
            const View v = view(s);
            at(slab.loading - v.offset);
            at(slab.loading - c.cells - v.scale_words + 1);
            for (int64_t quiet = 0; quiet <= c.quiet; quiet++) at(slab.free - v.offset - quiet);
        }
        at(busy_until);
        return then;
    }

    // The head of a slab's queue, as this slab sees it.
    struct View {
        const Instruction* i;
        int64_t offset, scale_words, left, accumulator;
        bool leads, alone, accumulates;
    };
    View view(int64_t s) const {
        const Slab& slab = slabs[s];
        const Instruction& i = x.program[slab.queue.front()];
        const bool first = slab.first;
        return {&i, s - i.first, i.scaled ? 1 + (i.pairs != 0) : 0, first ? i.passes : slab.left,
                first ? i.accumulator : slab.accumulator, s == i.first, s == i.first + i.count - 1,
                (first ? i.accumulate_first : i.accumulate_rest) != 0};
    }
    bool joined(int64_t s) const {
        return slabs[s - 1].queue.readable() && slabs[s - 1].queue.front() == slabs[s].queue.front();
    }
    bool can_load(const Slab& slab, const View& v, Cycle now) const { return slab.loading - now <= v.offset; }
    bool can_start(const Slab& slab, const View& v, Cycle now) const {
        return slab.free - now <= v.offset + x.c.quiet && !hazard(slab, v, now);
    }
    bool hazard(const Slab& slab, const View& v, Cycle now) const {
        const int64_t since = v.offset + x.c.quiet - std::max<int64_t>(0, slab.free - now);
        const int64_t gap = std::clamp<int64_t>(since, 0, x.c.quiet), ahead = slab.tail - v.accumulator;
        return (slab.first ? v.alone : v.leads) && v.accumulates && ahead >= 0 && ahead < x.c.quiet - gap;
    }
    // A pass is decided: what the leader alone does for all slabs.
    void begin(Cycle now, int64_t s, const Instruction& i, bool last) {
        const Cycle start = now + x.c.start_delay;
        const int64_t south = s + i.count - 1;
        const Cycle written = start + i.count - 1 + i.rows - 1 + x.c.row_latency;
        if (last) signals.push({written, south, slabs[s].queue.front()});
        first_start = std::min(first_start, start);
        x.total.array_cycles = std::max(x.total.array_cycles, written - first_start + 1);
        x.total.useful_macs += i.rows * (last ? i.last_row_macs : i.row_macs);
    }
    void stream(Cycle now, int64_t s, const Instruction& i, const View& v) {
        const Cycle start = now + x.c.start_delay + v.offset;
        slabs[s].passes.push({start, i.rows, v.accumulator, v.alone && v.accumulates, i.pairs != 0});
        busy_until = std::max(busy_until, start + i.rows + x.c.flight);
    }
};

// `Load`: rows that are asked for, places of their chunks, and the gearbox between beats and chunks.
class Load {
  public:
    Load(Context& context, Tokens& tokens) : queue(context.c.queue_depth), x(context), tokens(tokens), jobs(context.c.load_jobs) {}
    Queue<int64_t> queue;
    ReadClient client;

    bool accepts() const { return gearbox != x.c.gearbox_capacity; }
    bool gives_moving() const { return chunk.valid && chunk.moving; }
    bool busy() const { return open; }

    // `chunk_ready`: the bank writer takes a chunk in this cycle.
    void cycle(Cycle now, int64_t dispatched, bool chunk_ready) {
        if (!open && dispatched < 0 && queue.empty() && !client.busy()) return;
        const Configuration& c = x.c;
        const int64_t page = c.burst_page;
        if (completes >= 0) {
            x.results[completes].end = now;
            tokens.give(UNIT_LOAD, x.program[completes].signal);
            open--;
        }
        const int64_t completed = completes;
        completes = -1;

        // From the chunk's register back to the places.
        const bool chunk_free = !chunk.valid || chunk_ready;
        if (chunk.valid && chunk_ready && chunk.last) completes = chunk.index;
        const int64_t end = place.offset + place.bytes, touched = over(end + c.axi_bytes - 1, c.axi_bytes);
        const bool taken = place.valid && touched <= gearbox && chunk_free;
        const bool place_free = !place.valid || taken;
        x.changed |= completed >= 0 || completes >= 0 || taken || client.beat || (chunk.valid && chunk_ready);
        if (chunk_free) {
            chunk.valid = taken && !place.anchors;
            chunk.last = place.last;
            chunk.index = place.index;
            chunk.moving = place.index >= 0 && x.program[place.index].destination == DESTINATION_MOVING;
        }
        gearbox += client.beat;
        if (taken) gearbox -= place.row_end ? touched : over(end, c.axi_bytes);

        // Cut the next chunk.
        const bool cuts = cut.active && place_free;
        bool job_ends = false;
        x.changed |= cuts || (place_free && place.valid);
        if (place_free) place.valid = cuts;
        if (cuts) {
            const Instruction& i = x.program[cut.index];
            const int64_t bytes = std::min({cut.left, cut.fold_left, stacks(i) ? NEVER : c.chunk_bytes[i.destination]});
            const bool row_end = bytes == cut.left;
            place = {true, row_end, row_end && cut.rows == 1, cut.anchors, cut.offset, bytes, cut.index};
            job_ends = place.last;
            cut.left -= bytes;
            cut.fold_left -= bytes;
            cut.offset = within(cut.offset + bytes, c.axi_bytes);
            cut.anchors = false;
            if (row_end) {
                cut.rows--;
                cut.left = i.row_bytes;
                cut.offset = cut.row_offset = within(cut.row_offset + i.stride, c.axi_bytes);
            }
            if (stacks(i)) cut.part = (cut.part + (bytes + c.segment_bytes[i.destination] - 1) / c.segment_bytes[i.destination]) % c.load_rows;
            if (row_end || cut.fold_left == 0) cut.fold_left = fold_bytes(i, cut.part);
        }
        const bool cut_free = !cut.active || job_ends, job_read = cut_free && jobs.readable();
        if (job_ends) cut.active = false;
        if (job_read) {
            const Instruction& i = x.program[jobs.front()];
            const int64_t offset = within(x.memory.base + i.memory, c.axi_bytes);
            cut = {true, i.destination == DESTINATION_STATIONARY_SCALES, jobs.front(), i.rows, i.row_bytes, fold_bytes(i, 0), offset, offset, 0};
        }

        // Walk the rows.
        const bool transfer_ready = client.ready(page), transfer = row.valid && transfer_ready;
        const bool steps = walk.active && (!row.valid || transfer_ready), idle = !walk.active || (steps && walk.rows == 1);
        const bool asks = queue.readable() && idle && jobs.writable() && !tokens.missing(UNIT_LOAD, x.program[queue.front()].wait);
        const int64_t accepted = asks ? queue.front() : -1;
        if (client.bursting) client.bursts.give(page);
        if (transfer) client.bursts.take(row.address, row.bytes, c.axi_bytes);
        x.changed |= transfer || steps || asks || client.bursting;
        if (!row.valid || transfer_ready) row = {walk.active, walk.address, walk.active ? x.program[walk.index].row_bytes : 0};
        if (steps) {
            walk.address += x.program[walk.index].stride;
            if (--walk.rows == 0) walk.active = false;
        }
        if (asks) {
            const Instruction& i = x.program[accepted];
            walk = {true, accepted, i.rows, x.memory.base + i.memory};
            tokens.take(UNIT_LOAD, i.wait);
            x.results[accepted].start = now;
            open++;
        }
        x.changed |= jobs.step(asks ? &accepted : nullptr, job_read);
        x.changed |= queue.step(dispatched >= 0 ? &dispatched : nullptr, asks);
    }

  private:
    Context& x;
    Tokens& tokens;
    Queue<int64_t> jobs;
    // Rows of W that follow each other, for the parts of one word.
    static bool stacks(const Instruction& i) { return i.destination == DESTINATION_STATIONARY && i.fold == 1; }
    // Bytes of a fold, or from a part of a word on of the rows that are written at once.
    int64_t fold_bytes(const Instruction& i, int64_t part) const {
        if (!i.fold) return NEVER;
        return (stacks(i) ? std::min(x.c.load_rows - part, x.c.stationary_rows) : i.fold) * x.c.segment_bytes[i.destination];
    }

    int64_t open = 0;         // instructions that are not complete
    static_assert(BANK_WRITE_LATENCY == 1, "completes is for the cycle after the last chunk's");
    int64_t completes = -1;   // the instruction that completes in this cycle
    int64_t gearbox = 0;      // beats in it
    struct {
        bool active;
        int64_t index, rows, address;
    } walk{};
    struct {
        bool valid;
        int64_t address, bytes;
    } row{};
    struct {
        bool active, anchors;
        int64_t index, rows, left, fold_left, row_offset, offset, part;
    } cut{};
    struct {
        bool valid, row_end, last, anchors;
        int64_t offset, bytes, index;
    } place{};
    struct {
        bool valid, last, moving;
        int64_t index;
    } chunk{};
};

// A beat of results on its way through the drain.
struct Beat {
    bool valid, last, block_ends;
    int8_t output;
    int32_t bytes, offset;
};

class Pipeline {
  public:
    explicit Pipeline(int64_t stages) : stages(stages) {}
    const Beat& back() const { return stages[oldest]; }
    bool any() const { return held; }
    void step(const Beat& beat) {
        held += beat.valid - stages[oldest].valid;
        stages[oldest] = beat;
        oldest = oldest + 1 == stages.size() ? 0 : oldest + 1;
    }

  private:
    std::vector<Beat> stages;
    size_t oldest = 0;
    int64_t held = 0;  // beats in it
};

// `Drain`.
class Drain {
  public:
    Drain(Context& context, Tokens& tokens, const Sequencers& sequencers)
        : queue(context.c.queue_depth), x(context), tokens(tokens), sequencers(sequencers), halves(context.c.read_halves, Half(context.c.reader_depth)),
          credit(context.c.reader_depth), requantised(context.c.requantise_latency), coming(context.c.normalise_latency),
          going(context.c.pack_latency), lengths(context.c.write_outstanding), finals(context.c.write_outstanding),
          ledger(context.c.drain_jobs), ledger_writes(context.c.drain_jobs) {}
    Queue<int64_t> queue;

    struct {
        bool valid;
        int64_t beats;
    } aw{};
    struct {
        bool valid, last;
    } w{};

    bool packed() const { return packer.full; }
    bool busy() const { return active(); }

    void cycle(Cycle now, int64_t dispatched, bool chunk_ready, const Dram& dram) {
        if (!active() && dispatched < 0 && queue.empty()) return;
        const Configuration& c = x.c;
        bool changed = false;

        // Completion: the ledger hears of what was done in the cycle before.
        const bool finished = ledger.readable() && (x.program[ledger.front()].output == OUTPUT_MOVING ? done_moving : done_memory);
        const bool moves_front = finished && x.program[ledger.front()].output == OUTPUT_MOVING;
        if (finished) {
            x.results[ledger.front()].end = now;
            tokens.give(UNIT_DRAIN, x.program[ledger.front()].signal);
        }
        const bool written = dram.b_valid && finals.readable() && finals.front();

        // From the bus back to the converter: who takes what.
        const bool word_free = lengths.readable() && (!w.valid || dram.w_ready);
        const bool complete = aligner.last || aligner.fills;
        const bool word = aligner.flush || (aligner.valid && complete);  // at the aligner's output
        const bool aligned = !aligner.flush && aligner.valid && (word_free || !complete);
        const bool aligner_ready = !aligner.valid || aligned;
        const bool gives = packer.full && chunk_ready;
        const bool gone = gives && packer.segment + c.segments > packer.last_segment;
        const bool packer_ready = packer.active && (!packer.full || (gone && packer.left != 1));

        Beat result = skid_first;
        if (trailing) {
            const bool ends = trailer_left <= c.trailer_bytes;
            result = {true, ends, false, OUTPUT_BLOCKS, static_cast<int32_t>(ends ? trailer_left : c.trailer_bytes),
                      static_cast<int32_t>(trailer_offset)};
        } else if (result.output == OUTPUT_BLOCKS) {
            result.last = false;
        }
        const bool moves = result.output == OUTPUT_MOVING, ready = moves ? packer_ready : aligner_ready;
        const bool passes = result.valid && ready, skid_ready = !trailing && ready;
        const bool collects = passes && moves, aligns = passes && !moves;
        const bool advance = !skid_spare.valid;

        // The reader's beat, placed.
        Half& half = halves[turn];
        const bool there = half.queue.readable() && placer.active;
        const bool ends_row = there && half.queue.front();
        bool taken = false, placed_ends = false;
        Beat placed{};
        if (there) {
            const Instruction& i = x.program[placer.index];
            placed = {true, ends_row, ends_row || placer.beat == c.block_beats - 1, static_cast<int8_t>(i.output),
                      static_cast<int32_t>((ends_row ? i.tail : c.drain_lanes) * i.size), static_cast<int32_t>(placer.offset)};
            const int64_t its = i.output == OUTPUT_ROUNDED ? 1 : i.output == OUTPUT_BLOCKS ? 2 : 0;
            const bool others = c.block_scales && its != kind
                && (read_beat.valid || ready_beat.valid || requantised.any() || coming.any() || !scaling.empty() || going.any());
            taken = advance && !others;
            placed.valid = taken;
            if (taken) {
                kind = its;
                placed_ends = ends_row && placer.left == 1;
                placer.offset = within(placer.offset + c.drain_lanes * i.size, c.axi_bytes);
                placer.beat = placed.block_ends ? 0 : placer.beat + 1;
                if (ends_row) {
                    placer.offset = placer.row_offset = within(placer.row_offset + i.stride, c.axi_bytes);
                    placer.left--;
                }
            }
        }
        const bool returned = taken && (ends_row || turn == c.read_halves - 1);

        // The reader asks.
        const bool asks = reader.active && credit > 0;
        bool accepted = false, row_ends = false;
        if (asks) {
            const Instruction& i = x.program[reader.index];
            accepted = !sequencers.collides(now, i.slab, i.lane, reader.group, reader.row);
            changed = true;  // also if it has to ask again
            row_ends = reader.group == i.last_beat / c.read_halves;
            if (accepted)
                for (int64_t h = 0; h < c.read_halves; h++) {
                    const int64_t last_half = c.read_halves == 1 ? 0 : i.last_beat % 2;
                    if (!row_ends || last_half >= h) halves[h].coming.push({now + c.read_delay[h], row_ends && last_half == h});
                }
        }
        const bool reader_ends = accepted && row_ends && reader.left == 1;

        // Parts take the decoder's job, each by itself.
        const bool offers = decoding == SEGMENTS && segments_left <= c.rows;
        const Flag to_moving = offers && x.program[decoded].output == OUTPUT_MOVING;
        const unsigned to = to_moving ? READER | PLACER | LEDGER | PACKER : READER | PLACER | LEDGER | ROWS;
        unsigned now_taken = 0;
        if (offers) {
            if (!reader.active || reader_ends) now_taken |= READER;
            if (!placer.active || placed_ends) now_taken |= PLACER;
            if (ledger.writable() && ledger_writes.writable()) now_taken |= LEDGER;
            if (rows.left == 0 && !rows.valid) now_taken |= ROWS;
            if (!packer.active) now_taken |= PACKER;
            now_taken &= to & ~forked;
        }
        const bool job_done = offers && (forked | now_taken) == to;

        // Rows and their bursts.
        const bool address_free = (!aw.valid || dram.aw_ready) && lengths.writable() && finals.writable();
        const bool range_ready = bursts.ready(address_free, c.burst_page), range = rows.valid && range_ready;
        const bool bursting = bursts.busy && address_free;
        const int64_t burst_length = bursts.length(c.burst_page);
        const Flag burst_final = bursting && bursts.final(c.burst_page) && last_range;

        // --- The registers after this cycle.
        // Ledger.
        const bool push_ledger = now_taken & LEDGER, push_write = push_ledger && !to_moving;
        changed |= ledger.step(push_ledger ? &decoded : nullptr, finished);
        changed |= ledger_writes.step(push_write ? &to_moving : nullptr, written);
        const bool moved = gone && packer.left == 1;
        done_memory += written - (finished && !moves_front);
        done_moving += moved - (finished && moves_front);
        changed |= written || moved || finished;
        open -= finished;

        // Writer: W, AW, B.
        const bool sends = word_free && word, burst_ends = sends && write_count == lengths.front();
        if (sends) {
            w = {true, burst_ends};
            write_count = burst_ends ? 0 : write_count + 1;
        } else if (dram.w_ready) {
            changed |= w.valid;
            w.valid = false;
        }
        if (bursting) {
            aw = {true, burst_length};
            bursts.give(c.burst_page);
        } else if (dram.aw_ready) {
            changed |= aw.valid;
            aw.valid = false;
        }
        const int64_t length_less_1 = burst_length - 1;
        changed |= lengths.step(bursting ? &length_less_1 : nullptr, burst_ends);
        changed |= finals.step(bursting ? &burst_final : nullptr, dram.b_valid);
        if (range) {
            bursts.take(rows.address, rows.bytes, c.axi_bytes);
            last_range = rows.last;
        }
        changed |= sends || bursting || range;

        // Rows.
        if (!rows.valid || range) {
            changed |= rows.valid || rows.left;
            rows.valid = rows.left != 0;
            rows.last = rows.left == 1;
            rows.address = rows.next_address;
            if (rows.left) {
                rows.next_address += x.program[rows.index].stride;
                rows.left--;
            }
        }
        if (now_taken & ROWS) {
            const Instruction& i = x.program[decoded];
            rows.index = decoded;
            rows.left = i.rows;
            rows.next_address = x.memory.base + i.memory;
            rows.bytes = i.drained_bytes;
        }

        // Aligner.
        changed |= aligned || aligns || (aligner.flush && word_free);
        if (aligned) {
            aligner.flush = aligner.last && aligner.beyond;
        } else if (aligner.flush && word_free) {
            aligner.flush = false;
        }
        if (aligner_ready) {
            aligner.valid = aligns;
            const int64_t end = result.offset + result.bytes;
            aligner.fills = end >= c.axi_bytes;
            aligner.beyond = end > c.axi_bytes;
            aligner.last = result.last;
        }

        // Packer.
        changed |= gives || collects;
        if (gives) packer.segment += c.segments;
        if (gone) {
            packer.full = false;
            packer.segment = 0;
            if (--packer.left == 0) packer.active = false;
        }
        if (collects && result.last) packer.full = true;
        if (now_taken & PACKER) {
            packer.active = true;
            packer.left = x.program[decoded].rows;
            packer.segment = 0;
            packer.last_segment = x.program[decoded].last_segment;
        }

        // Trailer.
        if (passes) {
            if (trailing) {
                trailer_offset = within(trailer_offset + c.trailer_bytes, c.axi_bytes);
                trailer_left = result.last ? 1 : trailer_left - c.trailer_bytes;
                trailing = !result.last;
            } else if (result.output == OUTPUT_BLOCKS) {
                trailer_offset = within(skid_first.offset + skid_first.bytes, c.axi_bytes);
                trailing = skid_first.last;
                trailer_left += skid_first.block_ends;
            }
        }
        changed |= passes;

        // Converter.
        Beat out{};
        const bool scaled = scales > 0;
        if (requantised.back().valid) out = requantised.back();
        if (c.block_scales && going.back().valid) out = going.back();
        if (advance) {
            const bool moving_on = placed.valid || read_beat.valid || ready_beat.valid || requantised.any() || coming.any() || !scaling.empty() || going.any();
            changed |= moving_on;
            if (moving_on) {
                const bool rounds = ready_beat.output >= OUTPUT_ROUNDED;
                if (c.block_scales) {
                    const Beat& normalised = coming.back();
                    const bool in_block = normalised.output == OUTPUT_BLOCKS, enters = normalised.valid && in_block;
                    Beat onward = normalised;
                    onward.valid = normalised.valid && !in_block;
                    const bool completed = scale_complete;
                    scale_complete = enters && normalised.block_ends;
                    if (scaled) {
                        onward = scaling.front();
                        scaling.pop();
                        if (onward.block_ends) scales--;
                    }
                    scales += completed;
                    if (enters) scaling.push(normalised);
                    going.step(onward);
                    Beat rounded = ready_beat;
                    rounded.valid = ready_beat.valid && rounds;
                    coming.step(rounded);
                }
                Beat plain = ready_beat;
                plain.valid = ready_beat.valid && !rounds;
                requantised.step(plain);
                ready_beat = read_beat;
                read_beat = placed;
            }
        }
        if (skid_ready || !skid_first.valid) {
            changed |= skid_first.valid || skid_spare.valid || out.valid;
            const bool spare = skid_spare.valid;
            skid_first = spare ? skid_spare : out;
            skid_spare.valid = false;
        } else if (out.valid && advance) {
            skid_spare = out;
            changed = true;
        }

        // Placer and reader.
        if (placed_ends) placer.active = false;
        if (now_taken & PLACER) {
            const Instruction& i = x.program[decoded];
            const int64_t offset = within(x.memory.base + i.memory, c.axi_bytes);
            placer = {true, decoded, i.rows, offset, offset, placer.beat};
        }
        if (accepted) {
            reader.group++;
            if (row_ends) {
                reader.group = 0;
                reader.row++;
                reader.left--;
            }
        }
        if (reader_ends) reader.active = false;
        if (now_taken & READER) {
            const Instruction& i = x.program[decoded];
            reader = {true, decoded, i.accumulator, i.rows, 0};
        }
        for (int64_t h = 0; h < c.read_halves; h++) {
            Half& each = halves[h];
            const bool comes = !each.coming.empty() && each.coming.front().due == now, reads = taken && h == turn;
            const Flag last = comes && each.coming.front().last;
            changed |= each.queue.step(comes ? &last : nullptr, reads);
            if (comes) each.coming.pop();
        }
        if (taken) turn = returned ? 0 : turn + 1;
        credit += returned - accepted;
        changed |= taken || now_taken;

        // Decoder.
        bool decodes = false;
        int64_t accepted_job = -1;
        if (decoding == IDLE) {
            decodes = queue.readable() && !tokens.missing(UNIT_DRAIN, x.program[queue.front()].wait);
            if (decodes) {
                accepted_job = queue.front();
                decoded = accepted_job;
                tokens.take(UNIT_DRAIN, x.program[decoded].wait);
                x.results[decoded].start = now;
                open++;
                decoding = CHECK;
            }
        } else if (decoding == CHECK) {
            segments_left = x.program[decoded].output == OUTPUT_MOVING ? x.program[decoded].columns : 0;
            decoding = SEGMENTS;
            forked = 0;
            changed = true;
        } else if (!offers) {
            segments_left -= c.rows;
            changed = true;
        } else if (job_done) {
            decoding = IDLE;
            changed = true;
        } else {
            forked |= now_taken;
        }
        changed |= queue.step(dispatched >= 0 ? &dispatched : nullptr, decodes);
        x.changed |= changed;
    }

    Cycle next() const {
        Cycle due = NEVER;
        for (const Half& half : halves)
            if (!half.coming.empty()) due = std::min(due, half.coming.front().due);
        return due;
    }

  private:
    enum Part : unsigned { READER = 1, PLACER = 2, LEDGER = 4, ROWS = 8, PACKER = 16 };
    Context& x;
    Tokens& tokens;
    const Sequencers& sequencers;
    int64_t open = 0;  // instructions that are not complete

    enum { IDLE, CHECK, SEGMENTS } decoding = IDLE;
    int64_t decoded = 0, segments_left = 0;
    unsigned forked = 0;  // parts that have the job
    struct {
        bool active;
        int64_t index, row, left, group;
    } reader{};
    struct Push {
        Cycle due;
        bool last;
    };
    struct Half {
        explicit Half(int64_t depth) : queue(depth) {}
        Ring<Push> coming;
        Queue<Flag> queue;  // last of its row
    };
    std::vector<Half> halves;
    int64_t credit, turn = 0;
    struct {
        bool active;
        int64_t index, left, offset, row_offset, beat;
    } placer{};
    Beat read_beat{}, ready_beat{};
    Pipeline requantised, coming, going;
    Ring<Beat> scaling;
    int64_t scales = 0, kind = 0;
    bool scale_complete = false;
    Beat skid_first{}, skid_spare{};
    bool trailing = false;
    int64_t trailer_left = 1, trailer_offset = 0;
    struct {
        bool valid, last, fills, beyond, flush;
    } aligner{};
    struct {
        int64_t index, left, next_address, bytes, address;
        bool valid, last;
    } rows{};
    Bursts bursts;
    bool last_range = false;
    Queue<int64_t> lengths;
    Queue<Flag> finals;
    int64_t write_count = 0;
    struct {
        bool active, full;
        int64_t left, segment, last_segment;
    } packer{};
    Queue<int64_t> ledger;
    Queue<Flag> ledger_writes;
    int64_t done_memory = 0, done_moving = 0;

    bool active() const { return open || !finals.empty(); }
};

class Model {
  public:
    Model(Context& context)
        : x(context), dram(x.c, x.memory.bandwidth, x.memory.latency), tokens(UNIT_SLAB + x.c.slabs), fetch(x), sequencers(x, tokens),
          load(x, tokens), drain(x, tokens, sequencers) {}

    // Run to the end; gives the number of an instruction that waits for ever, or -1.
    int64_t run() {
        for (Cycle now = 0;;) {
            if (finished(now)) {
                sequencers.account(now + 1);
                x.total.cycles = now + 1;
                return -1;
            }
            x.changed = false;
            cycle(now);
            const Cycle then = x.changed ? now + 1 : std::min({dram.next(now), sequencers.next(), drain.next()});
            if (then == NEVER) return std::max<int64_t>(0, sequencers.waiting());
            now = then;
        }
    }

  private:
    Context& x;
    Dram dram;
    Tokens tokens;
    Fetch fetch;
    Sequencers sequencers;
    Load load;
    Drain drain;
    struct {
        bool valid;
        Client client;
        int64_t beats;
    } ar{};
    bool drain_turn = false;

    bool finished(Cycle now) const {
        return fetch.done && !fetch.client.busy() && load.queue.empty() && drain.queue.empty() && !load.busy() && !load.client.busy()
            && !drain.busy() && !sequencers.busy(now);
    }

    void cycle(Cycle now) {
        dram.drive(now);

        // The read master: AR takes a burst of the fetch first; R's beats go to whom they belong.
        const bool ar_transfer = ar.valid && dram.ar_ready;
        const int64_t ar_beats = ar.beats;
        const Client ar_client = ar.client;
        bool free = !ar.valid || dram.ar_ready;
        for (ReadClient* client : {&fetch.client, &load.client}) {
            client->burst_ready = free && client->outstanding != x.c.read_outstanding;
            client->bursting = client->burst_ready && client->bursts.busy;
            free = free && !client->bursting;
        }
        const bool for_fetch = dram.r_valid && dram.r_client == FETCH_CLIENT;
        fetch.client.beat = for_fetch;
        load.client.beat = dram.r_valid && !for_fetch && load.accepts();
        const bool r_transfer = fetch.client.beat || load.client.beat, r_last = r_transfer && dram.r_last;
        if (ar_transfer) ar.valid = false;
        for (auto [client, id] : {std::pair{&fetch.client, FETCH_CLIENT}, std::pair{&load.client, LOAD_CLIENT}}) {
            if (client->bursting) ar = {true, id, client->bursts.length(x.c.burst_page)};
            client->outstanding += client->bursting - (client->beat && r_last);
        }
        const bool aw_transfer = drain.aw.valid && dram.aw_ready, w_transfer = drain.w.valid && dram.w_ready, w_last = drain.w.last;
        const int64_t aw_beats = drain.aw.beats;
        x.total.read_beats += r_transfer;
        x.total.write_beats += w_transfer;

        // The bank writer: LOAD and DRAIN in turn, if both write moving banks.
        const bool conflict = load.gives_moving() && drain.packed();
        const bool load_ready = !(conflict && drain_turn), drain_ready = !(conflict && !drain_turn);
        if (conflict) drain_turn = !drain_turn, x.changed = true;

        const int64_t index = fetch.cycle([this](const Instruction& instruction) {
            if (instruction.opcode == OPCODE_LOAD) return load.queue.writable();
            if (instruction.opcode == OPCODE_DRAIN) return drain.queue.writable();
            return sequencers.writable(instruction);
        });
        const auto of = [&](int64_t opcode) { return index >= 0 && x.program[index].opcode == opcode ? index : -1; };
        sequencers.cycle(now, of(OPCODE_MATMUL));
        load.cycle(now, of(OPCODE_LOAD), load_ready);
        drain.cycle(now, of(OPCODE_DRAIN), drain_ready, dram);

        x.changed |= dram.step(now, ar_transfer ? &ar_beats : nullptr, ar_client, aw_transfer ? &aw_beats : nullptr, w_transfer, w_last, r_transfer);
        x.changed |= tokens.step() | (index >= 0);
    }
};

}  // namespace

extern "C" int64_t cleave_timing(
    const Configuration* configuration, const Memory* memory, const Instruction* program, int64_t length, Result* results, Total* total) {
    Context context{*configuration, program, length, *memory, results, *total};
    return Model(context).run();
}
