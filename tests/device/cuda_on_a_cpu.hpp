// Enough of CUDA to compile a kernel with g++ and run it, one thread after the other, in a random order.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <typeinfo>
#include <vector>

#define __global__
#define __device__

struct Dim3 {
    unsigned x, y, z;
};
static Dim3 gridDim, blockDim, blockIdx, threadIdx;

namespace {  // each text that is compiled has its own

template <auto Kernel>
struct Launch;

template <class... Arguments, void (*Kernel)(Arguments...)>
struct Launch<Kernel> {
    // The types of the parameters as the compiler abbreviates them: "PKf x" for const float* and long long.
    static const char* signature() {
        static const std::string names = ((std::string(typeid(Arguments).name()) + " ") + ...);
        return names.c_str();
    }

    static void run(long long blocks, long long threads, long long seed, Arguments... arguments) {
        std::vector<long long> order(blocks * threads);
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
        gridDim = {unsigned(blocks), 1, 1};
        blockDim = {unsigned(threads), 1, 1};
        for (long long i : order) {
            blockIdx = {unsigned(i / threads), 0, 0};
            threadIdx = {unsigned(i % threads), 0, 0};
            Kernel(arguments...);
        }
    }
};

}  // namespace
