// The sampler on a GPU. Included before this text: T, the type of the numbers; I, that of the targets;
// TAPS[mode], taps along an axis; COEFFICIENTS[mode][order][tap], of 1, t, t^2, t^3 in the weight differentiated so often.
//
// Images are rows: X is (samples, pixels, channels), Y is (samples, points, channels), pixels = depth * height * width.
// Each number of a result is summed by one thread, in the order of the taps or of the channels: no atomic additions.

struct Axis {
    const int* cell;    // the cell of each point; null for an axis that is not there
    const T* t;         // its fraction within the cell; null if no weight depends on it
    const int* places;  // the pixel of tap k is places[cell + k - first]; null if it is cell + k
    long long first;
    long long size;     // pixels along the axis
    long long order;    // how often the weights are differentiated
};

struct Tap {
    long long pixel;  // in its own sample; negative if the tap reads nothing
    T weight;
};

#define AXIS(a) \
    const int *cell_##a, const T *t_##a, const int *places_##a, long long first_##a, long long size_##a, long long order_##a
#define GEOMETRY long long samples, long long points, long long channels, long long mode, AXIS(x), AXIS(y), AXIS(z)
#define PACKED(a) {cell_##a, t_##a, places_##a, first_##a, size_##a, order_##a}
#define UNPACK                                                              \
    const Axis axes[3] = {PACKED(z), PACKED(y), PACKED(x)};                 \
    const long long pixels = size_x * size_y * size_z;                      \
    const int taps = TAPS[mode] * TAPS[mode] * (cell_z ? TAPS[mode] : 1);
#define EACH(i, count)                                                            \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (count); \
         i += gridDim.x * (long long)blockDim.x)

__device__ static Tap tap_of(const Axis* axes, long long mode, long long point, int k) {
    Tap tap = {0, 1};
    int below = axes[0].cell ? TAPS[mode] * TAPS[mode] : TAPS[mode];  // taps of the axes after this one
    for (int a = axes[0].cell ? 0 : 1; a < 3; a++) {                  // z, y, x: x runs fastest
        const Axis axis = axes[a];
        const int j = k / below % TAPS[mode];
        below /= TAPS[mode];
        const int at = axis.cell[point] + j;
        const long long place = axis.places ? axis.places[at - axis.first] : at;
        const bool inside = place >= 0 && place < axis.size && tap.pixel >= 0;
        tap.pixel = inside ? tap.pixel * axis.size + place : -1;
        const T t = axis.t ? axis.t[point] : 0;
        const T* c = COEFFICIENTS[mode][axis.order][j];
        tap.weight = tap.weight * (((c[3] * t + c[2]) * t + c[1]) * t + c[0]);
    }
    return tap;
}

// Y = S X
extern "C" __global__ void gather(const T* X, T* Y, GEOMETRY) {
    UNPACK
    EACH(i, samples * points * channels) {
        const long long point = i / channels, c = i % channels;
        const T* image = X + point / points * pixels * channels;
        T sum = 0;
        for (int k = 0; k < taps; k++) {
            const Tap tap = tap_of(axes, mode, point, k);
            if (tap.pixel >= 0) sum += tap.weight * image[tap.pixel * channels + c];
        }
        Y[i] = sum;
    }
}

// result[p] = sum over c of Y[p, c] (S X)[p, c]: first over the channels of each tap, then over the taps
extern "C" __global__ void weigh(const T* Y, const T* X, T* result, GEOMETRY) {
    UNPACK
    EACH(point, samples * points) {
        const T* image = X + point / points * pixels * channels;
        T sum = 0;
        for (int k = 0; k < taps; k++) {
            const Tap tap = tap_of(axes, mode, point, k);
            if (tap.pixel < 0) continue;
            T product = 0;
            for (long long c = 0; c < channels; c++) product += Y[point * channels + c] * image[tap.pixel * channels + c];
            sum += tap.weight * product;
        }
        result[point] = sum;
    }
}

// The pixel that each tap reads, counted over all samples; samples * pixels if it reads nothing. (samples, points, taps)
extern "C" __global__ void targets(I* target, GEOMETRY) {
    UNPACK
    EACH(i, samples * points * taps) {
        const long long pixel = tap_of(axes, mode, i / taps, i % taps).pixel;
        target[i] = pixel < 0 ? samples * pixels : i / taps / points * pixels + pixel;
    }
}

// X = S^T Y: those of one target stand together in the order that sorts the targets, and are added up in that order
extern "C" __global__ void scatter(const I* target, const long long* order, const T* Y, T* X, GEOMETRY) {
    UNPACK
    const long long entries = samples * points * taps;
    EACH(i, samples * pixels * channels) {
        const long long row = i / channels, c = i % channels;
        long long first = 0, end = entries;  // the first whose target is not below the row
        while (first < end) {
            const long long middle = (first + end) / 2;
            if (target[order[middle]] < row) first = middle + 1;
            else end = middle;
        }
        T sum = 0;
        for (; first < entries && target[order[first]] == row; first++) {
            const long long entry = order[first], point = entry / taps;
            sum += tap_of(axes, mode, point, entry % taps).weight * Y[point * channels + c];
        }
        X[i] = sum;
    }
}
