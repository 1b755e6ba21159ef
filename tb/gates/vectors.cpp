// Random and corner vectors for a merged dot product: `vectors COUNT SEED` prints how many were wrong.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include "Vvectors.h"

#if SUBTRACT
#define SIGN -
#else
#define SIGN +
#endif

namespace {

uint64_t state;

uint64_t random64() {  // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1DULL;
}

// Eight bytes; in one vector of four, each byte is an extreme with probability 1/2.
uint64_t operands() {
    static const uint8_t corners[8] = {0x80, 0x7f, 0x00, 0xff, 0x01, 0x80, 0x81, 0x7f};
    uint64_t bytes = random64();
    const uint64_t choice = random64();
    if ((choice >> 62) == 0)
        for (int i = 0; i < 8; ++i)
            if (choice >> i & 1) {
                const uint64_t corner = corners[choice >> (8 + 4 * i) & 7];
                bytes = (bytes & ~(0xffULL << 8 * i)) | corner << 8 * i;
            }
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const uint64_t count = std::strtoull(argv[1], nullptr, 10);
    state = std::strtoull(argv[2], nullptr, 10) * 2 + 1;
    VerilatedContext context;
    Vvectors dot{&context};
    const uint32_t mask = (1u << WIDTH) - 1;
    uint64_t wrong = 0;
    for (uint64_t vector = 0; vector < count; ++vector) {
        const uint64_t a = operands(), b = operands();
        const uint32_t addend = random64() >> 32 & mask;
        int32_t total = static_cast<int32_t>(addend);
        for (int i = 0; i < 8; ++i) total += SIGN int8_t(a >> 8 * i) * int8_t(b >> 8 * i);
#if PAIRED
        dot.b_sums = 0;
        for (int i = 0; i < 4; ++i)
            dot.b_sums |= static_cast<uint64_t>((int8_t(b >> 16 * i) + int8_t(b >> (16 * i + 8))) & 0x1ff) << 9 * i;
#endif
        dot.a = a;
        dot.b = b;
        dot.addend = addend;
        dot.eval();
        wrong += (static_cast<uint32_t>(total) & mask) != dot.total;
    }
    std::printf("%llu of %llu vectors wrong\n", static_cast<unsigned long long>(wrong), static_cast<unsigned long long>(count));
    return wrong != 0;
}
