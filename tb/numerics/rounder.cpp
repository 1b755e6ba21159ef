// Cases for the rounder from standard input, one per enabled cycle: says how many came out wrong, and which was the first.
#include <cstdint>
#include <cstdio>
#include <vector>
#include "Vrounder.h"

namespace {

struct Case {
    int64_t sum;
    int32_t exponent;
    uint8_t poisoned, target, mode, saturate;
    uint32_t random, code;
};
static_assert(sizeof(Case) == 24, "as in compiled.py");

std::vector<Case> read_cases() {
    std::vector<Case> cases;
    Case buffer[4096];
    while (const size_t count = std::fread(buffer, sizeof(Case), 4096, stdin)) cases.insert(cases.end(), buffer, buffer + count);
    return cases;
}

bool enabled() {  // stands still in a quarter of the cycles
    static uint32_t state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state & 3;
}

void drive(Vrounder& rounder, const Case& given) {
    rounder.sum = given.sum & ((uint64_t{1} << ACCUMULATOR_BITS) - 1);
    rounder.exponent = given.exponent & ((1 << EXPONENT_BITS) - 1);
    rounder.poisoned = given.poisoned;
    rounder.wanted = given.target | given.mode << 4 | given.saturate << 6;
    rounder.random = given.random;
}

void tick(Vrounder& rounder, bool enable) {
    rounder.enable = enable;
    rounder.clk = 0;
    rounder.eval();
    rounder.clk = 1;
    rounder.eval();
}

}  // namespace

int main() {
    VerilatedContext context;
    Vrounder rounder{&context};
    const std::vector<Case> cases = read_cases();
    size_t wrong = 0;
    for (size_t step = 0; step + 1 < cases.size() + LATENCY; ++step) {
        while (!enabled()) {
            drive(rounder, cases[step * 7 % cases.size()]);
            tick(rounder, false);
        }
        drive(rounder, cases[step < cases.size() ? step : 0]);
        tick(rounder, true);
        if (step + 1 < LATENCY) continue;
        const Case& due = cases[step + 1 - LATENCY];
        if (rounder.code != due.code && !wrong++)
            std::printf("sum %lld exponent %d poisoned %d target %d mode %d saturate %d random %u: %#x, not %#x\n",
                        static_cast<long long>(due.sum), due.exponent, due.poisoned, due.target, due.mode, due.saturate,
                        due.random, static_cast<unsigned>(rounder.code), due.code);
    }
    std::printf("%zu of %zu wrong\n", wrong, cases.size());
    return wrong != 0;
}
