// The pace of tilings: operations one after the other on LOAD, the array and DRAIN, each as soon as its operands and its slot let it.
//
// `pace_layout.h` is written by `choose.py`.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "pace_layout.h"

namespace {

// Contents of a bank's slots: when each came, and when it was used last. The one that was used first goes first.
class Slots {
  public:
    Slots(int64_t slots, int64_t contents) : slots(slots), held(contents) {}

    struct Held {
        double came = -1, used = 0;
        int64_t uses = 0;
    };
    bool holds(int64_t content) const { return held[content].came >= 0; }
    // Gives when a slot is free.
    double free() {
        if (count < slots) return count++, 0;
        while (held[uses.front().first].uses != uses.front().second) uses.pop_front();
        Held& old = held[uses.front().first];
        uses.pop_front();
        old.came = -1;
        return old.used;
    }
    Held& use(int64_t content) {
        uses.emplace_back(content, ++held[content].uses);
        return held[content];
    }

  private:
    const int64_t slots;
    int64_t count = 0;
    std::vector<Held> held;
    std::deque<std::pair<int64_t, int64_t>> uses;
};

class Pace {
  public:
    explicit Pace(const Candidate& c)
        : c(c), moving(c.moving_slots, c.parts * c.row_blocks * c.chunks), stationary(c.stationary_slots, c.parts * c.column_sets * c.chunks),
          drained(c.accumulator_slots, 0.0) {}

    double cycles() {
        const int64_t column_blocks = (c.column_sets + c.sets - 1) / c.sets, of_part = c.row_blocks * column_blocks, all = c.parts * of_part;
        int64_t steps = 0, half_blocks = 0;
        double half = 0;
        for (int64_t block = 0; block < all; block++) {
            if (steps > MOST_STEPS && half_blocks) {
                const double end = std::max(array, drain);
                return end + (all - block) * (end - half) / (block - half_blocks);
            }
            if (steps > MOST_STEPS / 2 && !half_blocks) half_blocks = block, half = std::max(array, drain);
            const int64_t part = block / of_part, index = block % of_part;
            const int64_t row = c.rows_first ? index / column_blocks : index % c.row_blocks;
            const int64_t column = c.rows_first ? index % column_blocks : index / c.row_blocks;
            const int64_t first = column * c.sets, past = std::min(first + c.sets, c.column_sets);
            for (int64_t chunk = 0; chunk < c.chunks; chunk++) iteration(part, (part * c.row_blocks + row) * c.chunks + chunk, chunk, first, past);
            steps += c.chunks * (past - first);
        }
        return std::max(array, drain);
    }

  private:
    const Candidate& c;
    Slots moving, stationary;
    std::deque<double> drained;  // when accumulators are free, those that were used first first
    double load = 0, array = 0, drain = 0;  // when each is done with what it has so far
    double draining = 0;                     // when DRAIN has begun what it is done with then

    void iteration(int64_t part, int64_t rows, int64_t chunk, int64_t first, int64_t past) {
        const double came = fetch(moving, rows, c.moving_cycles).came;
        for (int64_t set = first; set < past; set++) {
            Slots::Held& tiles = fetch(stationary, (part * c.column_sets + set) * c.chunks + chunk, c.stationary_cycles);
            double start = std::max({array, came, tiles.came});
            if (chunk == 0) {
                start = std::max(start, drained.front());
                drained.pop_front();
            }
            array = start + c.array_cycles;
            tiles.used = array + c.flight;
            if (chunk == c.chunks - 1) store(tiles.used);
        }
        moving.use(rows).used = array + c.flight;
    }
    // LOAD and DRAIN share the bus: each goes at half its pace while the other has something to do.
    Slots::Held& fetch(Slots& slots, int64_t content, double cycles) {
        if (!slots.holds(content)) {
            const double start = std::max(load, slots.free()), shared = std::clamp(drain - std::max(start, draining), 0.0, cycles) * c.store_share;
            load = start + cycles + shared;
            drain += shared;
            for (double& free : drained)
                if (free > start) free += shared;
            slots.use(content).came = load + c.trip;
        }
        return slots.use(content);
    }
    void store(double from) {
        if (from > drain) draining = from;
        const double start = std::max(drain, from), shared = std::clamp(load - start, 0.0, c.drain_cycles) * c.store_share;
        drain = start + c.drain_cycles + shared;
        load += shared;
        drained.push_back(drain + c.trip);
    }
};

}  // namespace

// Candidates come by their bounds, the least first. The pace of those whose bound is not near the least pace is not found.
extern "C" void cleave_pace(const Candidate* candidates, int64_t count, double* paces) {
    double best = 1e300;
    for (int64_t i = 0; i < count; i++) {
        paces[i] = candidates[i].bound > NEAR * best ? 1e300 : std::max(candidates[i].bound, Pace(candidates[i]).cycles());
        best = std::min(best, paces[i]);
    }
}
