// The memory behind the bus, for the simulator's harness and the timing model.
#pragma once
#include <cstddef>

constexpr size_t MOST_BURSTS = 16;  // that wait in the DRAM, for each of reads and writes
constexpr size_t MOST_BEATS = 64;   // of write data that wait for their turn
