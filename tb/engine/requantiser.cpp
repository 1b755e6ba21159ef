// Random and corner cases for the requantiser, one per enabled cycle: `requantiser COUNT SEED` prints how many were wrong.
// The product has 49 bits, so that a double holds it, and its quotient by a power of two, exactly.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include "Vrequantiser.h"

namespace {

uint64_t state;

uint64_t random64() {  // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1DULL;
}

// 32 bits of any magnitude, or a corner, or with few ones, so that ties come up.
int32_t word() {
    static const int32_t corners[8] = {INT32_MIN, INT32_MAX, 0, 1, -1, 128, -128, INT32_MIN + 1};
    const uint64_t choice = random64();
    const int32_t value = static_cast<int32_t>(random64()) >> (choice & 31);
    switch (choice >> 60) {
        case 0: return corners[choice >> 8 & 7];
        case 1: case 2: case 3: return value >> (choice >> 8 & 31) << (choice >> 8 & 31);
        default: return value;
    }
}

struct Case {
    int32_t accumulator, bias;
    uint16_t multiplier;
    int shift;
    bool relu, raw;
    uint32_t result;
};

Case any() {
    const uint64_t choice = random64();
    Case made{word(), word(), static_cast<uint16_t>(random64() >> 48 >> (choice & 15)), 0, (choice >> 4 & 1) != 0, (choice >> 5 & 15) == 0, 0};
    if (choice >> 16 & 1) made.multiplier = 1u << (choice >> 17 & 15);  // a tie stays one
    const int64_t product = (int64_t{made.accumulator} + made.bias) * made.multiplier;
    const int length = static_cast<int>(std::log2(std::fabs(static_cast<double>(product)) + 1)) + 1;
    const int near = length - 8 + static_cast<int>(choice >> 24 & 15) - 5;  // mostly inside INT8's range
    made.shift = (choice >> 32 & 7) == 0 ? choice >> 40 & 63 : near < 0 ? 0 : near > 63 ? 63 : near;
    double value = std::nearbyint(std::ldexp(static_cast<double>(product), -made.shift));
    if (made.relu && !made.raw) value = std::fmax(value, 0);
    made.result = made.raw ? static_cast<uint32_t>(made.accumulator)
                           : static_cast<uint8_t>(static_cast<int8_t>(std::fmin(127, std::fmax(-128, value))));
    if (made.raw) made.relu = false;
    return made;
}

void tick(Vrequantiser& lane) {
    lane.clk = 0;
    lane.eval();
    lane.clk = 1;
    lane.eval();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const uint64_t count = std::strtoull(argv[1], nullptr, 10);
    state = std::strtoull(argv[2], nullptr, 10) * 2 + 1;
    VerilatedContext context;
    Vrequantiser lane{&context};
    Case under_way[LATENCY];
    uint64_t wrong = 0;
    for (uint64_t step = 0; step + 1 < count + LATENCY; ++step) {
        Case& given = under_way[step % LATENCY];
        given = any();
        lane.accumulator = given.accumulator;
        lane.record = static_cast<uint32_t>(given.bias) | uint64_t{given.multiplier} << 32 | static_cast<uint64_t>(given.shift) << 48;
        lane.relu = given.relu;
        lane.raw = given.raw;
        if (!(random64() >> 62)) {  // stands still before a quarter of the cases
            lane.enable = 0;
            tick(lane);
        }
        lane.enable = 1;
        tick(lane);
        if (step + 1 < LATENCY) continue;
        const Case& due = under_way[(step + 1) % LATENCY];
        if (lane.result != due.result && !wrong++)
            std::printf("accumulator %d bias %d multiplier %u shift %d relu %d raw %d: %#x, not %#x\n", due.accumulator, due.bias,
                        due.multiplier, due.shift, due.relu, due.raw, static_cast<unsigned>(lane.result), due.result);
    }
    std::printf("%llu of %llu wrong\n", static_cast<unsigned long long>(wrong), static_cast<unsigned long long>(count));
    return wrong != 0;
}
