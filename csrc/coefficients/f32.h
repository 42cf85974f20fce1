/* Written by polynomials.py, which says what each one minimises. Format: binary32. */
/* clang-format off */

static const real log2_e = 0x1.7154760000000p+0f;
static const real ln2_word = 0x1.62e4300000000p-1f;
static const real ln2_error = -0x1.79a8dc0000000p-29f;
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

/* exp(r) = 1 + r + r^2 p(r), to about one word on [-0.346643, 0.346643]; relative error 2^-28.3. */
static const real exp_word[] = {
    0x1.fffffc0000000p-2f,
    0x1.5554920000000p-3f,
    0x1.5558ac0000000p-5f,
    0x1.12397c0000000p-7f,
    0x1.6a511a0000000p-10f,
};

/* exp(r) = 1 + r p(r) within half a step of ln2/32 on [-0.0108413, 0.0108413]; relative error 2^-33.2. */
static const real exp_step[] = {
    0x1.0000000000000p+0f,
    0x1.0000880000000p-1f,
    0x1.5555740000000p-3f,
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

#define STEPS 32

/* 2^(j/32), less j/32 of the exponent field's unit in its bit pattern. */
static const real exp_steps[] = {
    0x1.0000000000000p+0f,
    0x1.fd9b0e0000000p-1f,
    0x1.fb55860000000p-1f,
    0x1.f9301e0000000p-1f,
    0x1.f72b840000000p-1f,
    0x1.f548740000000p-1f,
    0x1.f387a60000000p-1f,
    0x1.f1e9e00000000p-1f,
    0x1.f06fe00000000p-1f,
    0x1.ef1a740000000p-1f,
    0x1.edea640000000p-1f,
    0x1.ece0860000000p-1f,
    0x1.ebfdae0000000p-1f,
    0x1.eb42b60000000p-1f,
    0x1.eab07e0000000p-1f,
    0x1.ea47ec0000000p-1f,
    0x1.ea09e60000000p-1f,
    0x1.e9f75e0000000p-1f,
    0x1.ea11480000000p-1f,
    0x1.ea589a0000000p-1f,
    0x1.eace540000000p-1f,
    0x1.eb737c0000000p-1f,
    0x1.ec49180000000p-1f,
    0x1.ed503c0000000p-1f,
    0x1.ee89fa0000000p-1f,
    0x1.eff7700000000p-1f,
    0x1.f199be0000000p-1f,
    0x1.f3720e0000000p-1f,
    0x1.f5818e0000000p-1f,
    0x1.f7c9740000000p-1f,
    0x1.fa4afa0000000p-1f,
    0x1.fd07660000000p-1f,
};

/* What the powers lost in rounding, relative to them. */
static const real exp_steps_lost[] = {
    0x0.0p+0f,
    -0x1.9474140000000p-25f,
    0x1.8d96d40000000p-25f,
    -0x1.dda2fc0000000p-25f,
    -0x1.9c0c220000000p-27f,
    -0x1.a2fbb20000000p-25f,
    0x1.9649040000000p-25f,
    -0x1.2b0dbc0000000p-25f,
    0x1.1250020000000p-25f,
    -0x1.cde8ce0000000p-26f,
    0x1.370be40000000p-25f,
    0x1.336de20000000p-30f,
    -0x1.0a35500000000p-25f,
    -0x1.c541b40000000p-26f,
    -0x1.00d8ac0000000p-27f,
    -0x1.6cb2840000000p-25f,
    0x1.26055c0000000p-26f,
    0x1.8b2bb80000000p-26f,
    -0x1.05cb440000000p-25f,
    -0x1.1c21420000000p-26f,
    0x1.67a1ca0000000p-28f,
    -0x1.348e560000000p-25f,
    0x1.a3b5e40000000p-28f,
    -0x1.0b7ec80000000p-25f,
    -0x1.f9c3040000000p-27f,
    -0x1.e4c8860000000p-26f,
    -0x1.6961b40000000p-28f,
    -0x1.b5151e0000000p-28f,
    -0x1.a5217c0000000p-28f,
    -0x1.ab71320000000p-26f,
    0x1.61428e0000000p-28f,
    -0x1.2ad5f80000000p-27f,
};
