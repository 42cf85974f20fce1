/* Written by polynomials.py, which says what each one minimises. Format: binary64. */
/* clang-format off */

static const real log2_e = 0x1.71547652b82fep+0;
static const real ln2_hi = 0x1.62e42fefa3000p-1;
static const real ln2_lo = 0x1.3de6af278ece6p-42;
static const real ln2_third = 0x1.f97b57a079a18p-103;

/* exp(r) = 1 + r + r^2 p(r) on [-0.346643, 0.346643]; relative error 2^-63.8. */
static const real exp_tail[] = {
    0x1.0000000000000p-1,
    0x1.555555555555ap-3,
    0x1.5555555555531p-5,
    0x1.111111110f167p-7,
    0x1.6c16c16c26f88p-10,
    0x1.a01a01b1e40f4p-13,
    0x1.a01a0151edd96p-16,
    0x1.71ddf389b9ac6p-19,
    0x1.27e58f224ebfap-22,
    0x1.af66b6dfde366p-26,
    0x1.1e629e0febf36p-29,
};

/* exp(r) - 1 = r + r^2/2 + r^3 p(r) on [-0.346643, 0.346643]; relative error 2^-61.6. */
static const real expm1_tail[] = {
    0x1.5555555555559p-3,
    0x1.5555555555558p-5,
    0x1.111111110f6f4p-7,
    0x1.6c16c16c16c82p-10,
    0x1.a01a01afa754ep-13,
    0x1.a01a019d67d6ap-16,
    0x1.71ddf91bf7f17p-19,
    0x1.27e4fa1796ef4p-22,
    0x1.af5d3828bb830p-26,
    0x1.1f3758449ac46p-29,
};

/* exp(s) - 1 = s + s^2 p(s), as part of 1 on [-0.03125, 0.03125]; relative error 2^-62.1. */
static const real expm1_small[] = {
    0x1.0000000000026p-1,
    0x1.555555555557bp-3,
    0x1.55555551b89e6p-5,
    0x1.1111110e8edd5p-7,
    0x1.6c19e01330a75p-10,
    0x1.a01d5f0841effp-13,
};

/* log1p(z) = z + z^2 p(z), as part of 1 on [-0.0307668, 0.0317434]; relative error 2^-62.1. */
static const real log1p_small[] = {
    -0x1.fffffffffff95p-2,
    0x1.55555555559cfp-2,
    -0x1.000000010bac8p-2,
    0x1.9999998d41966p-3,
    -0x1.55553ba62bbb7p-3,
    0x1.249295e734b00p-3,
    -0x1.007bb3ecd280ap-3,
    0x1.c64b5a0754786p-4,
};

/* 2 atanh(z) = 2 z + z^3 p(z^2) on [0, 0.0402002]; relative error 2^-62.6. */
static const real log_tail[] = {
    0x1.555555555554fp-1,
    0x1.999999999c1b9p-2,
    0x1.24924921deb91p-2,
    0x1.c71c7495999a3p-3,
    0x1.745c49598528ep-3,
    0x1.3b35f532cae38p-3,
    0x1.0dc7fdfc6c5c5p-3,
    0x1.1b9aae1a12fd8p-3,
};
