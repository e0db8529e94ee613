// bfloat16: the upper half of a float32, rounded to the nearest, ties to even.
#pragma once
#include <cstring>

struct __nv_bfloat16 { unsigned short bits; };
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return {static_cast<unsigned short>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}
