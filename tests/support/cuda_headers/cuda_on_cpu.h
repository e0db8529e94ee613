// CUDA's language, as far as our kernels use it, on the CPU: a block's threads are real threads, blocks run in turn.
#pragma once
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __shared__

struct Index { unsigned x, y, z; };
inline thread_local Index threadIdx, blockIdx;
inline Index gridDim;
inline std::barrier<>* block_barrier;
inline void __syncthreads() { block_barrier->arrive_and_wait(); }

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }

const std::size_t SHARED_DOUBLES = 48 * 1024 / sizeof(double);
const double UNTOUCHED = -1.2345e300;
double shared_memory[SHARED_DOUBLES];

template <typename... Arguments, std::size_t... N>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<N...>) {
    kernel(*static_cast<Arguments*>(arguments[N])...);
}

// False when a thread wrote beyond the shared memory that the launch asked for.
template <typename... Arguments>
bool launch(void (*kernel)(Arguments...), const unsigned* grid, unsigned threads, std::size_t shared_bytes, void** arguments) {
    gridDim = {grid[0], grid[1], grid[2]};
    for (double& slot : shared_memory) slot = UNTOUCHED;
    std::barrier<> barrier(threads);
    block_barrier = &barrier;
    std::vector<std::thread> block;
    for (unsigned thread = 0; thread < threads; ++thread)
        block.emplace_back([=] {
            threadIdx = {thread, 0, 0};
            for (unsigned z = 0; z < grid[2]; ++z)
                for (unsigned y = 0; y < grid[1]; ++y)
                    for (unsigned x = 0; x < grid[0]; ++x) {
                        blockIdx = {x, y, z};
                        call(kernel, arguments, std::index_sequence_for<Arguments...>{});
                        __syncthreads();
                    }
        });
    for (std::thread& thread : block) thread.join();
    for (std::size_t slot = (shared_bytes + 7) / 8; slot < SHARED_DOUBLES; ++slot)
        if (shared_memory[slot] != UNTOUCHED) return false;
    return true;
}
