/* Read a suite of golden vectors, sample bilinearly in float32, write the results.
 *
 *     cc -std=c99 -o bilinear bilinear.c && ./bilinear SUITE RESULTS
 *
 * Compiled with -DBUG it swaps x and y. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 256, AXES = 8 };

typedef struct { long offset, shape[AXES]; int axes; } Array;

static float at(const float *image, long h, long w, long y, long x) {
    return y < 0 || y >= h || x < 0 || x >= w ? 0.0f : image[y * w + x];
}

/* From a normalised coordinate to pixels: rule C1 of the specification. */
static float pixel(float g, long size, int align_corners) {
    return align_corners ? (g + 1) / 2 * (float)(size - 1) : ((g + 1) * (float)size - 1) / 2;
}

static float clipped(float p, long size) { return p < 0 ? 0 : p > (float)(size - 1) ? (float)(size - 1) : p; }

/* Rules P2 and P3. Far outside a fold is repeated: this is a demonstration, not a fast sampler. */
static float padded(float p, long size, const char *padding, int align_corners) {
    float low = align_corners ? 0.0f : -0.5f, high = (float)size - 1 - low;
    if (!strcmp(padding, "zeros")) return p;
    if (!strcmp(padding, "reflection") && high > low)
        while (p < low || p > high) p = p < low ? 2 * low - p : 2 * high - p;
    return clipped(p, size);
}

static long floored(float p) { return (long)p - (p < (float)(long)p); }

static void *load(FILE *file, const Array *a, long *count) {
    *count = 1;
    for (int i = 0; i < a->axes; i++) *count *= a->shape[i];
    float *data = malloc((size_t)*count * sizeof *data + 1);
    if (!data || fseek(file, a->offset, SEEK_SET) || fread(data, sizeof *data, (size_t)*count, file) != (size_t)*count)
        fprintf(stderr, "the suite cannot be read\n"), exit(2);
    return data;
}

static void sample(const char *suite, const char *results, const char *name, const Array *image, const Array *grid,
                   const char *padding, int align_corners) {
    char path[4 * WORD];
    long count, N = image->shape[0], C = image->shape[1], H = image->shape[2], W = image->shape[3];
    long P = grid->shape[1] * grid->shape[2];
    snprintf(path, sizeof path, "%s/cases/%s.bin", suite, name);
    FILE *in = fopen(path, "rb");
    snprintf(path, sizeof path, "%s/%s.output.bin", results, name);
    FILE *out = fopen(path, "wb");
    if (!in || !out) fprintf(stderr, "%s cannot be opened\n", path), exit(2);
    float *X = load(in, image, &count), *G = load(in, grid, &count);
    for (long n = 0; n < N; n++)
        for (long c = 0; c < C; c++)
            for (long i = 0; i < P; i++) {
                const float *plane = X + (n * C + c) * H * W, *g = G + (n * P + i) * 2;
#ifdef BUG
                float gx = g[1], gy = g[0];
#else
                float gx = g[0], gy = g[1];
#endif
                float x = padded(pixel(gx, W, align_corners), W, padding, align_corners);
                float y = padded(pixel(gy, H, align_corners), H, padding, align_corners);
                long x0 = floored(x), y0 = floored(y);
                float tx = x - (float)x0, ty = y - (float)y0;
                float nw = at(plane, H, W, y0, x0), ne = at(plane, H, W, y0, x0 + 1);
                float sw = at(plane, H, W, y0 + 1, x0), se = at(plane, H, W, y0 + 1, x0 + 1);
                float value = (1 - ty) * ((1 - tx) * nw + tx * ne) + ty * ((1 - tx) * sw + tx * se);
                fwrite(&value, sizeof value, 1, out);
            }
    free(X), free(G), fclose(in), fclose(out);
}

int main(int argc, char **argv) {
    char path[4 * WORD], word[WORD], name[WORD], op[WORD], dtype[WORD], tag[WORD], value[WORD], role[WORD];
    int cases, options, arrays, done = 0;
    if (argc != 3) return fprintf(stderr, "usage: bilinear SUITE RESULTS\n"), 2;
    snprintf(path, sizeof path, "%s/index.txt", argv[1]);
    FILE *index = fopen(path, "r");
    if (!index || fscanf(index, "attn-ref-vectors %255s %d", word, &cases) != 2)
        return fprintf(stderr, "%s is no index of vectors\n", path), 2;
    while (fscanf(index, " case %255s %255s %255s %255s %d %d", name, op, dtype, tag, &options, &arrays) == 6) {
        char mode[WORD] = "", padding[WORD] = "", corners[WORD] = "", last[WORD] = "";
        Array image = {0}, grid = {0}, a;
        for (; options--;) {
            if (fscanf(index, " option %255s %255s", word, value) != 2) return 2;
            if (!strcmp(word, "mode")) strcpy(mode, value);
            if (!strcmp(word, "padding_mode")) strcpy(padding, value);
            if (!strcmp(word, "align_corners")) strcpy(corners, value);
            if (!strcmp(word, "channels_last")) strcpy(last, value);
        }
        for (; arrays--;) {
            if (fscanf(index, " array %255s %255s %255s %ld %d", word, role, value, &a.offset, &a.axes) != 5) return 2;
            for (int i = 0; i < a.axes && i < AXES; i++)
                if (fscanf(index, "%ld", &a.shape[i]) != 1) return 2;
            if (!strcmp(word, "input")) image = a;
            if (!strcmp(word, "grid")) grid = a;
        }
        if (strcmp(op, "grid_sample") || strcmp(mode, "bilinear") || strcmp(dtype, "float32") || strcmp(tag, "valid") ||
            image.axes != 4 || !strcmp(last, "true"))
            continue; /* what this sampler is not for */
        sample(argv[1], argv[2], name, &image, &grid, padding, !strcmp(corners, "true")), done++;
    }
    printf("%d of %d cases computed\n", done, cases);
    return fclose(index), done ? 0 : 1;
}
