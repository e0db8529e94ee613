// IEEE 754 half precision by the CPU's own conversion (F16C).
#pragma once
#include <immintrin.h>

struct __half { unsigned short bits; };
inline __half __float2half_rn(float value) { return {static_cast<unsigned short>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT))}; }
