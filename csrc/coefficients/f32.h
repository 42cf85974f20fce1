/* Written by polynomials.py, which says what each one minimises. Format: binary32. */
/* clang-format off */

static const real log2_e = 0x1.7154760000000p+0f;
static const real ln2_hi = 0x1.62e0000000000p-1f;
static const real ln2_lo = 0x1.0bfbe80000000p-15f;
static const real ln2_third = 0x1.cf79ac0000000p-40f;

/* exp(r) = 1 + r + r^2 p(r) on [-0.346643, 0.346643]; relative error 2^-33.3. */
static const real exp_tail[] = {
    0x1.0000000000000p-1f,
    0x1.5555540000000p-3f,
    0x1.5554e80000000p-5f,
    0x1.11130e0000000p-7f,
    0x1.6d4cbe0000000p-10f,
    0x1.9dfb9e0000000p-13f,
};

/* exp(r) - 1 = r + r^2/2 + r^3 p(r) on [-0.346643, 0.346643]; relative error 2^-31.1. */
static const real expm1_tail[] = {
    0x1.5555540000000p-3f,
    0x1.5554f80000000p-5f,
    0x1.1112dc0000000p-7f,
    0x1.6d3a300000000p-10f,
    0x1.9e6b100000000p-13f,
};

/* log1p(w) = w - w^2/2 + w^3 p(w) on [-0.25, 0.5]; relative error 2^-30.0. */
static const real log1p_tail[] = {
    0x1.55555a0000000p-2f,
    -0x1.00006e0000000p-2f,
    0x1.9997640000000p-3f,
    -0x1.5519d40000000p-3f,
    0x1.2463900000000p-3f,
    -0x1.04ad5e0000000p-3f,
    0x1.df1bdc0000000p-4f,
    -0x1.75031a0000000p-4f,
    0x1.3417e00000000p-5f,
};

/* exp(s) - 1 = s + s^2 p(s), as part of 1 on [-0.03125, 0.03125]; relative error 2^-34.8. */
static const real expm1_small[] = {
    0x1.0000000000000p-1f,
    0x1.55590a0000000p-3f,
    0x1.55582e0000000p-5f,
};

/* log1p(z) = z + z^2 p(z), as part of 1 on [-0.0307668, 0.0317434]; relative error 2^-30.3. */
static const real log1p_small[] = {
    -0x1.0000060000000p-1f,
    0x1.5581c20000000p-2f,
    -0x1.ff7acc0000000p-3f,
};

/* 2 atanh(z) = 2 z + z^3 p(z^2) on [0, 0.0402002]; relative error 2^-35.2. */
static const real log_tail[] = {
    0x1.5555540000000p-1f,
    0x1.999c0c0000000p-2f,
    0x1.23e0440000000p-2f,
    0x1.ee9f960000000p-3f,
};
