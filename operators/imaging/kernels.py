"""The CUDA kernels of this package and how they are launched.

Each launch goes to CuPy's current stream. The NumPy functions of this package are the reference; arithmetic is written
in their order, so that the two differ by the rounding of float32 sums alone.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.imaging.array_module import ArrayModule, array_module_of
from operators.imaging.sampling import SPLINE_MARGIN

THREADS = 128
"""In a block, along the column axis."""

RESAMPLE = {order: f"resample_affine<{order}>" for order in (0, 1, 3)}
WARP = {order: f"warp<{order}>" for order in (0, 1, 3)}
PIXEL_TYPES = {np.dtype(np.int16): "short", np.dtype(np.float32): "float"}
MEASURE = {pixel: f"measure_strips<{name}>" for pixel, name in PIXEL_TYPES.items()}
WRITE = {
    (pixel, out): f"write_strips<{name}, {out}>"
    for pixel, name in PIXEL_TYPES.items()
    for out in ("float", "__half", "__nv_bfloat16")
}
MERGE = "merge_strips"
MOMENTS_BYTES = 3 * 8 * THREADS
"""Shared memory of the kernels that merge moments."""

NAMES = (*RESAMPLE.values(), *WARP.values(), *MEASURE.values(), *WRITE.values(), MERGE)
"""Every kernel, as C++ names it."""

AS_THEY_ARE, SCALED, TRUNCATED_AND_SCALED = range(3)
"""What becomes of rescaled values before the resize: nothing, 1/32767, or int16 and then 1/32767."""

OPTIONS = ("--std=c++17",)

SOURCE = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>

const int THREADS = 128;
extern __shared__ double shared_memory[];

__device__ inline void store(float* place, float value) { *place = value; }
__device__ inline void store(__half* place, float value) { *place = __float2half_rn(value); }
__device__ inline void store(__nv_bfloat16* place, float value) { *place = __float2bfloat16_rn(value); }

// ---- Values between voxels -----------------------------------------------------------------------------------------

struct Grid { const float* values; long long strides[3]; int sizes[3]; };

__device__ inline int within(int index, int size) { return index < 0 ? 0 : index < size ? index : size - 1; }

__device__ inline float at(const Grid& grid, int slice, int row, int column) {
    return grid.values[slice * grid.strides[0] + row * grid.strides[1] + column * grid.strides[2]];
}

__device__ inline float lerp_between(float before, float behind, float fraction) {
    return before + fraction * (behind - before);
}

__device__ inline float nearest(const Grid& grid, const double* place) {
    int index[3];
    for (int axis = 0; axis < 3; ++axis) {
        double inside = fmin(fmax(place[axis], 0.0), grid.sizes[axis] - 1.0);
        index[axis] = within((int)floor(inside + 0.5), grid.sizes[axis]);
    }
    return at(grid, index[0], index[1], index[2]);
}

__device__ inline float trilinear(const Grid& grid, const double* place) {
    int before[3], behind[3];
    float fraction[3];
    for (int axis = 0; axis < 3; ++axis) {
        double inside = fmin(fmax(place[axis], 0.0), grid.sizes[axis] - 1.0);
        before[axis] = (int)inside;
        behind[axis] = within(before[axis] + 1, grid.sizes[axis]);
        fraction[axis] = (float)(inside - before[axis]);
    }
    float edges[2];
    for (int k = 0; k < 2; ++k) {
        int z = k ? behind[0] : before[0];
        float above = lerp_between(at(grid, z, before[1], before[2]), at(grid, z, before[1], behind[2]), fraction[2]);
        float below = lerp_between(at(grid, z, behind[1], before[2]), at(grid, z, behind[1], behind[2]), fraction[2]);
        edges[k] = lerp_between(above, below, fraction[1]);
    }
    return lerp_between(edges[0], edges[1], fraction[0]);
}

// The grid holds B-spline coefficients with a margin of edge values, into which places are already shifted.
__device__ inline float cubic(const Grid& grid, const double* place) {
    int first[3];
    float weights[3][4];
    for (int axis = 0; axis < 3; ++axis) {
        double inside = fmin(fmax(place[axis], 0.0), grid.sizes[axis] - 1.0);
        first[axis] = (int)inside - 1;
        float t = (float)(inside - (first[axis] + 1)), s = 1.0f - t;
        weights[axis][0] = s * s * s / 6.0f;
        weights[axis][1] = (4.0f + 3.0f * t * t * (t - 2.0f)) / 6.0f;
        weights[axis][2] = (4.0f + 3.0f * s * s * (s - 2.0f)) / 6.0f;
        weights[axis][3] = t * t * t / 6.0f;
    }
    float value = 0.0f;
    for (int k = 0; k < 4; ++k) {
        int slice = within(first[0] + k, grid.sizes[0]);
        float plane = 0.0f;
        for (int j = 0; j < 4; ++j) {
            int row = within(first[1] + j, grid.sizes[1]);
            float line = 0.0f;
            for (int i = 0; i < 4; ++i)
                line += weights[2][i] * at(grid, slice, row, within(first[2] + i, grid.sizes[2]));
            plane += weights[1][j] * line;
        }
        value += weights[0][k] * plane;
    }
    return value;
}

template <int order>
__device__ float value_at(const Grid& grid, double* place, int margin) {
    for (int axis = 0; axis < 3; ++axis) place[axis] += margin;
    return order == 0 ? nearest(grid, place) : order == 1 ? trilinear(grid, place) : cubic(grid, place);
}

// (3, 4) row-major transform of a (slice, row, column) index.
__device__ inline void transformed(const double* transform, int slice, int row, int column, double* place) {
    for (int axis = 0; axis < 3; ++axis) {
        const double* line = transform + 4 * axis;
        place[axis] = line[1] * row + line[2] * column + line[3] + line[0] * slice;
    }
}

// One thread for each voxel of the target: x along columns, blockIdx.y the row, blockIdx.z the slice.
template <int order>
__global__ void resample_affine(
    const float* values, long long slice_stride, long long row_stride, long long column_stride,
    int depth, int height, int width, int margin,
    const double* to_source, float* out, int out_width)
{
    int column = blockIdx.x * THREADS + threadIdx.x;
    if (column >= out_width) return;
    Grid source = {values, {slice_stride, row_stride, column_stride}, {depth, height, width}};
    double place[3];
    transformed(to_source, blockIdx.z, blockIdx.y, column, place);
    long long line = (long long)blockIdx.z * gridDim.y + blockIdx.y;
    out[line * out_width + column] = value_at<order>(source, place, margin);
}

// As resample_affine, at the place that the displacement field moves the voxel to; to_index takes mm to source voxels.
template <int order>
__global__ void warp(
    const float* values, long long slice_stride, long long row_stride, long long column_stride,
    int depth, int height, int width, int margin,
    const double* to_source, float* out, int out_width,
    const float* displacements, int field_depth, int field_height, int field_width,
    const double* to_field, const double* to_index)
{
    int column = blockIdx.x * THREADS + threadIdx.x;
    if (column >= out_width) return;
    Grid source = {values, {slice_stride, row_stride, column_stride}, {depth, height, width}};
    long long plane = (long long)field_height * field_width;
    Grid field = {displacements, {plane, field_width, 1}, {field_depth, field_height, field_width}};
    double place[3], field_place[3];
    transformed(to_source, blockIdx.z, blockIdx.y, column, place);
    transformed(to_field, blockIdx.z, blockIdx.y, column, field_place);
    for (int component = 0; component < 3; ++component) {
        double shift = trilinear(field, field_place);
        for (int axis = 0; axis < 3; ++axis) place[axis] += to_index[3 * axis + component] * shift;
        field.values += plane * field_depth;
    }
    long long line = (long long)blockIdx.z * gridDim.y + blockIdx.y;
    out[line * out_width + column] = value_at<order>(source, place, margin);
}

// ---- The encoder's input -------------------------------------------------------------------------------------------
// A block makes `strip` rows of one output image, a thread one column of them. Pixels are read in two kernels, once
// for the statistics and once for the output: a block of slices stays in the second-level cache in between, and what
// lies between the kernels is 24 bytes for each 128 x strip pixels.

enum Preparation { AS_THEY_ARE = 0, SCALED = 1, TRUNCATED_AND_SCALED = 2 };

template <typename Pixel>
struct Slices {
    const Pixel* pixels;
    long long slice_stride, row_stride, column_stride;
    float slope, intercept;
    int preparation;
    float floor_value;

    __device__ float value(int slice, int row, int column) const {
        Pixel pixel = pixels[slice * slice_stride + row * row_stride + column * column_stride];
        float value = __fadd_rn(__fmul_rn((float)pixel, slope), intercept);
        if (preparation == TRUNCATED_AND_SCALED) value = (float)(short)(int)value;
        return preparation == AS_THEY_ARE ? value : __fdiv_rn(value, 32767.0f);
    }
};

// Weights of one axis: output k is the sum over t < taps of weights[t * size + k] * input[first[k] + t].
struct Taps { const int* first; const float* weights; int taps, size; };

// Calls consume(row, value) for the rows of the strip. Source rows are resized along columns first and kept in the
// thread's own column of shared memory, which no other thread touches: nothing to synchronise.
template <typename Pixel, typename Consumer>
__device__ inline void resize_strip(
    const Slices<Pixel>& slices, int slice, const Taps& rows, const Taps& columns,
    int first_row, int last_row, int column, Consumer consume)
{
    float* line = (float*)shared_memory + threadIdx.x;
    int first_source = rows.first[first_row], end_source = rows.first[last_row] + rows.taps;
    for (int source_row = first_source; source_row < end_source; ++source_row) {
        float sum = 0.0f;
        int first_column = columns.first[column];
        for (int t = 0; t < columns.taps; ++t)
            sum += columns.weights[t * columns.size + column] * slices.value(slice, source_row, first_column + t);
        line[(source_row - first_source) * THREADS] = sum;
    }
    for (int row = first_row; row <= last_row; ++row) {
        float sum = 0.0f;
        for (int t = 0; t < rows.taps; ++t)
            sum += rows.weights[t * rows.size + row] * line[(rows.first[row] + t - first_source) * THREADS];
        consume(row, fmaxf(sum, slices.floor_value));
    }
}

// Number of values, their mean, and the sum of squared differences from it.
struct Moments { double count, mean, squares; };

// Chan, Golub and LeVeque (1979): no cancellation, and a constant image has exactly no deviation.
__device__ inline Moments merged(Moments a, Moments b) {
    double count = a.count + b.count;
    if (count == 0.0) return a;
    double difference = b.mean - a.mean, share = b.count / count;
    return {count, a.mean + difference * share, a.squares + b.squares + difference * difference * a.count * share};
}

// All threads' moments in thread 0, merged in an order that never changes.
__device__ inline Moments merged_over_block(Moments own) {
    Moments* moments = (Moments*)shared_memory;
    __syncthreads();
    moments[threadIdx.x] = own;
    __syncthreads();
    for (int reach = THREADS / 2; reach > 0; reach /= 2) {
        if (threadIdx.x < reach) moments[threadIdx.x] = merged(moments[threadIdx.x], moments[threadIdx.x + reach]);
        __syncthreads();
    }
    return moments[0];
}

// grid: x blocks of columns, y strips, z slices.
template <typename Pixel>
__global__ void measure_strips(
    const Pixel* pixels, long long slice_stride, long long row_stride, long long column_stride,
    float slope, float intercept, int preparation, float floor_value,
    const int* row_first, const float* row_weights, int row_taps,
    const int* column_first, const float* column_weights, int column_taps,
    int size, int strip, double* partial)
{
    Slices<Pixel> slices = {
        pixels, slice_stride, row_stride, column_stride, slope, intercept, preparation, floor_value};
    Taps rows = {row_first, row_weights, row_taps, size}, columns = {column_first, column_weights, column_taps, size};
    int column = blockIdx.x * THREADS + threadIdx.x, first_row = blockIdx.y * strip;
    int last_row = within(first_row + strip - 1, size);
    Moments own = {0.0, 0.0, 0.0};
    if (column < size) {
        float pivot = 0.0f, sum = 0.0f, squares = 0.0f;
        resize_strip(slices, blockIdx.z, rows, columns, first_row, last_row, column, [&](int row, float value) {
            if (row == first_row) pivot = value;
            float difference = value - pivot;
            sum += difference;
            squares += difference * difference;
        });
        float count = (float)(last_row - first_row + 1);
        own = {count, (double)pivot + sum / count, fmaxf(squares - sum * sum / count, 0.0f)};
    }
    Moments all = merged_over_block(own);
    if (threadIdx.x == 0) {
        double* place = partial + 3 * (((long long)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x);
        place[0] = all.count, place[1] = all.mean, place[2] = all.squares;
    }
}

// One block for each slice: mean and unbiased standard deviation from num_parts partial moments.
__global__ void merge_strips(const double* partial, int num_parts, double* mean, double* deviation) {
    const double* parts = partial + 3LL * num_parts * blockIdx.x;
    Moments own = {0.0, 0.0, 0.0};
    for (int part = threadIdx.x; part < num_parts; part += THREADS)
        own = merged(own, {parts[3 * part], parts[3 * part + 1], parts[3 * part + 2]});
    Moments all = merged_over_block(own);
    if (threadIdx.x == 0) {
        mean[blockIdx.x] = all.mean;
        deviation[blockIdx.x] = sqrt(all.squares / (all.count - 1.0));
    }
}

// As measure_strips; writes the z-scored (slices, size, size).
template <typename Pixel, typename Out>
__global__ void write_strips(
    const Pixel* pixels, long long slice_stride, long long row_stride, long long column_stride,
    float slope, float intercept, int preparation, float floor_value,
    const int* row_first, const float* row_weights, int row_taps,
    const int* column_first, const float* column_weights, int column_taps,
    int size, int strip, const double* mean, const double* deviation, float eps, Out* out)
{
    Slices<Pixel> slices = {
        pixels, slice_stride, row_stride, column_stride, slope, intercept, preparation, floor_value};
    Taps rows = {row_first, row_weights, row_taps, size}, columns = {column_first, column_weights, column_taps, size};
    int column = blockIdx.x * THREADS + threadIdx.x, first_row = blockIdx.y * strip;
    if (column >= size) return;
    float centre = (float)mean[blockIdx.z];
    float scale = deviation[blockIdx.z] < eps ? 1.0f : (float)deviation[blockIdx.z];
    Out* image = out + (long long)blockIdx.z * size * size + column;
    resize_strip(slices, blockIdx.z, rows, columns, first_row, within(first_row + strip - 1, size), column,
        [&](int row, float value) { store(image + (long long)row * size, __fdiv_rn(value - centre, scale)); });
}
"""


@cache
def compiled(module: ArrayModule) -> Any:
    """The kernels for the module's GPU; CuPy keeps what it compiled on disk."""
    return module.xp.RawModule(code=SOURCE, options=OPTIONS, name_expressions=NAMES)


def launch(
    module: ArrayModule, name: str, grid: tuple[int, int, int], arguments: Iterable[Any], *, shared_bytes: int = 0
) -> None:
    """Run a kernel on the current stream; *arguments* are arrays and NumPy scalars of exactly the kernel's types."""
    compiled(module).get_function(name)(grid, (THREADS, 1, 1), tuple(arguments), shared_mem=shared_bytes)


def resample_affine(array: Any, transform: NDArray[np.float64], shape: tuple[int, int, int], *, order: int) -> Any:
    """(D, H, W) to *shape* float32; transform : (4, 4), target indices to source indices."""
    module = array_module_of(array)
    with module.active():
        out = module.xp.empty(shape, np.float32)
        source = _source_arguments(module, array, order)
        target = _target_arguments(module, transform, out)
        launch(module, RESAMPLE[order], voxel_grid(shape), (*source, *target))
    return out


def warp(
    array: Any,
    transform: NDArray[np.float64],
    displacements: Any,
    to_field: NDArray[np.float64],
    to_index: NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    order: int,
) -> Any:
    """Resample as `resample_affine` does, each voxel moved by a field.

    displacements : (3, d, h, w) float32, LPS mm
    to_field : (4, 4), target indices to the field's indices
    to_index : (3, 3), LPS mm to source voxels
    """
    module = array_module_of(array)
    with module.active():
        xp, out = module.xp, module.xp.empty(shape, np.float32)
        field = xp.ascontiguousarray(displacements, dtype=np.float32)
        matrices = (xp.asarray(np.ascontiguousarray(to_field[:3])), xp.asarray(np.ascontiguousarray(to_index)))
        arguments = (
            *_source_arguments(module, array, order),
            *_target_arguments(module, transform, out),
            *(field, *map(np.int32, field.shape[1:])),
            *matrices,
        )
        launch(module, WARP[order], voxel_grid(shape), arguments)
    return out


def voxel_grid(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Blocks for one thread a voxel."""
    depth, height, width = shape
    return -(-width // THREADS), height, depth


def _source_arguments(module: ArrayModule, array: Any, order: int) -> tuple[Any, ...]:
    values, margin = array.astype(np.float32, copy=False), 0
    if order == 3:
        margin = SPLINE_MARGIN
        padded = module.xp.pad(values, margin, mode="edge")
        values = module.ndimage.spline_filter(padded, 3, output=np.float32, mode="nearest")
    return values, *element_strides(values), *map(np.int32, values.shape), np.int32(margin)


def _target_arguments(module: ArrayModule, transform: NDArray[np.float64], out: Any) -> tuple[Any, ...]:
    return module.xp.asarray(np.ascontiguousarray(transform[:3])), out, np.int32(out.shape[2])


def element_strides(array: Any) -> tuple[np.int64, ...]:
    """Strides in elements; negative ones too, so that a reversed axis needs no copy."""
    return tuple(np.int64(stride // array.itemsize) for stride in array.strides)
