/* Written by polynomials.py, which says what each one minimises. Format: binary64. */
/* clang-format off */

static const real log2_e = 0x1.71547652b82fep+0;
static const real ln2_word = 0x1.62e42fefa39efp-1;
static const real ln2_error = 0x1.34959296ef3a3p-55;
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

/* exp(r) = 1 + r + r^2 p(r), to about one word on [-0.346643, 0.346643]; relative error 2^-57.9. */
static const real exp_word[] = {
    0x1.000000000000ap-1,
    0x1.555555555550cp-3,
    0x1.55555555507a4p-5,
    0x1.1111111124824p-7,
    0x1.6c16c18438794p-10,
    0x1.a01a013795b78p-13,
    0x1.a0199a0c1b096p-16,
    0x1.71df0df7af611p-19,
    0x1.28ad61eb3c628p-22,
    0x1.ad9d8d6aff9b9p-26,
};

/* exp(r) = 1 + r p(r) within half a step of ln2/16 on [-0.0216825, 0.0216825]; relative error 2^-57.0. */
static const real exp_step[] = {
    0x1.000000000000ap+0,
    0x1.fffffffffffc2p-2,
    0x1.5555555405d3dp-3,
    0x1.555555581093bp-5,
    0x1.11126ee27e644p-7,
    0x1.6c15a5c7308e1p-10,
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

#define STEPS 16

/* 2^(j/16), less j/16 of the exponent field's unit in its bit pattern. */
static const real exp_steps[] = {
    0x1.0000000000000p+0,
    0x1.fb5586cf9890fp-1,
    0x1.f72b83c7d517bp-1,
    0x1.f387a6e756238p-1,
    0x1.f06fe0a31b715p-1,
    0x1.edea64c123422p-1,
    0x1.ebfdad5362a27p-1,
    0x1.eab07dd485429p-1,
    0x1.ea09e667f3bcdp-1,
    0x1.ea11473eb0187p-1,
    0x1.eace5422aa0dbp-1,
    0x1.ec49182a3f090p-1,
    0x1.ee89f995ad3adp-1,
    0x1.f199bdd85529cp-1,
    0x1.f5818dcfba487p-1,
    0x1.fa4afa2a490dap-1,
};

/* What the powers lost in rounding, relative to them. */
static const real exp_steps_lost[] = {
    0x0.0p+0,
    0x1.79aa65d837b6dp-54,
    -0x1.01b15eaa59348p-55,
    0x1.68efde3a8a894p-54,
    0x1.34d754db0abb6p-55,
    0x1.59f48a72a4c6dp-55,
    0x1.690cebb7aafb0p-56,
    0x1.063e1e21c5409p-54,
    -0x1.3b3efbf5e2228p-54,
    -0x1.b32dcb94da51dp-56,
    0x1.db72fc1f0eab4p-55,
    0x1.1affc2b91ce27p-56,
    0x1.c1a7792cb3387p-55,
    0x1.36eae30af0cb3p-56,
    0x1.4a385a63d07a7p-56,
    -0x1.ff7128fd391f0p-55,
};
