// Sums of products of a cell behind element decoders. Standard input: numbers of the moving and the stationary element, of
// stationary tiles and of moving rows, then tiles and rows, DOT codes each; standard output: the sum of every tile and row.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>
#include "Vproducts.h"

namespace {

template <typename T>
std::vector<T> read(size_t count) {
    std::vector<T> values(count);
    if (std::fread(values.data(), sizeof(T), count, stdin) != count) std::abort();
    return values;
}

template <typename Port>
void set(Port& port, const uint8_t* codes) {
    port = 0;
    for (int i = 0; i < DOT; ++i) port |= static_cast<Port>(codes[i]) << 8 * i;
}

void tick(Vproducts& cell) {
    cell.clk = 0;
    cell.eval();
    cell.clk = 1;
    cell.eval();
}

}  // namespace

int main() {
    VerilatedContext context;
    Vproducts cell{&context};
    const std::vector<int32_t> sizes = read<int32_t>(4);
    const std::vector<uint8_t> tiles = read<uint8_t>(sizes[2] * DOT), rows = read<uint8_t>(sizes[3] * DOT);
    std::vector<int32_t> sums;
    sums.reserve(static_cast<size_t>(sizes[2]) * sizes[3]);
    cell.moving_element = sizes[0];
    cell.stationary_element = sizes[1];
    for (int tile = 0; tile < sizes[2]; ++tile) {
        set(cell.stationary, &tiles[tile * DOT]);
        cell.write = 1;
        tick(cell);
        cell.write = 0;
        cell.swap = 1;
        tick(cell);
        cell.swap = 0;
        for (int row = 0; row < sizes[3] + STAGES; ++row) {
            set(cell.moving, &rows[(row < sizes[3] ? row : 0) * DOT]);
            tick(cell);
            if (row >= STAGES) sums.push_back(cell.sum);
        }
    }
    std::fwrite(sums.data(), sizeof(int32_t), sums.size(), stdout);
    return 0;
}
