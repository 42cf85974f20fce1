/* Losses of single elements, with their first and second derivatives by the logit. */

#pragma once

#include "kernels/logistic.h"
#include "math/log.h"
#include "math/logistic.h"

/* ---- binary cross-entropy: p softplus(-x) + n softplus(x), p and n being the weights of the targets 1 and 0 ---- */

/* loss = |x| wrong + (wrong + right) log1p(e^-|x|), where the weights are those of the side that x is not on (wrong),
   and of the one it is on (right). */
typedef struct {
    vec wrong, right;
} sides;

INLINE sides sides_of(vec x, vec positive, vec negative) {
    mask below = v_lt(x, v_set(0));
    return (sides){v_select(below, positive, negative), v_select(below, negative, positive)};
}

/* log(1 + e^-m) for m >= 0, rounded, down to the subnormals and 0. */
INLINE vec log1p_exp_minus(vec magnitude) {
    return m_with_exp_tail(m_log1pexp_word(v_neg(magnitude)), v_neg(magnitude));
}

/* log(1 + e^-m) as a term beside w m. Where it is subnormal, it shows only beside a tiny w. */
RARE vec far_tail_beside(vec x, vec w) {
    vec e = m_exp_rounded(v_min(x, v_set(WORD_MIN)));
    mask beside_more = v_lt(v_set(REAL(0x1p-60)), w); /* any e as small will do; a subnormal one would be slow */
    return v_select(beside_more, v_max(v_set(REAL_MIN), e), e);
}
INLINE dw tail_beside(vec magnitude, vec w) {
    vec x = v_neg(magnitude);
    dw tail = m_log1pexp_words(x);
    mask far = v_lt(x, v_set(WORD_MIN));
    if (RARELY(mask_any(far)))
        tail = (dw){v_select(far, far_tail_beside(x, w), tail.hi), v_select(far, v_set(0), tail.lo)};
    return tail;
}

/* With a target z, wrong is 1 - z for x >= 0 and z for x < 0, and right is the rest of 1. At x = +-inf with wrong = 0
   the limit 0 is meant, not inf * 0.
   Error: 1/2 ulp from the second term, to which what 1 - z lost is added, and 1/2 from the sum; with a table of octaves,
   the second term has an ulp. */
INLINE vec k_binary_cross_entropy_with_logits(vec x, vec z) {
    vec zero = v_set(0), magnitude = v_abs(x);
    mask negative = v_lt(x, zero);
    vec w = v_select(negative, z, v_sub(v_set(1), z));
    vec w_lo = v_select(negative, zero, v_sub(v_sub(v_set(1), w), z));
    vec factor = v_select(v_eq(w, zero), zero, magnitude);
    dw tail = tail_beside(magnitude, w);
    vec y = v_fma(factor, w, v_add(tail.hi, v_fma(v_min(factor, v_set(REAL_MAX)), w_lo, tail.lo)));
    return v_select(v_eq(x, x), y, x);
}

/* With t = e^-|x|, sigmoid(|x|) = 1/(1 + t) and sigmoid(-|x|) = t/(1 + t). So d loss/d|x| = (wrong - right t)/(1 + t),
   and the second derivative is (wrong + right) t/(1 + t)^2. */
typedef struct {
    vec t, inverse;
} decay;

INLINE decay decay_of(vec t) { return (decay){t, v_div(v_set(1), v_add(v_set(1), t))}; }

/* e^-m for every m >= 0; nan where m is nan, which v_min keeps. */
INLINE vec exp_minus(vec m) {
    vec y = m_exp_word(v_neg(v_min(v_set(-NORMAL_MIN), m)), m_word_rounder(v_set(0)));
    mask far = v_lt(v_set(-NORMAL_MIN), m);
    if (mask_any(far)) y = v_select(far, m_exp_rounded(v_neg(v_max(v_set(-NORMAL_MIN), m))), y);
    return y;
}

/* An element's loss, and its derivatives times the scale of the reduction. */
typedef struct {
    vec loss, gradient, hessian;
} element;

/* The arguments of a kernel. */
typedef struct {
    vec x;          /* the logit */
    vec z;          /* the target */
    vec weight;     /* the weight of the element */
    vec pos_weight; /* an extra weight of the target 1 */
} element_input;

/* Settings are the same for all elements. */
typedef struct {
    vec scale;              /* the factor of the derivatives */
    vec positive, negative; /* focal loss: the weights of the targets 1 and 0 */
    vec gamma;              /* focal loss: the exponent */
} settings;

INLINE vec binary_gradient(vec x, sides s, decay d, vec scale) {
    vec signed_scale = v_select(v_lt(x, v_set(0)), v_neg(scale), scale);
    return v_mul(v_mul(v_fnma(s.right, d.t, s.wrong), d.inverse), signed_scale);
}
INLINE vec binary_hessian(sides s, decay d, vec scale) {
    return v_mul(v_mul(v_mul(d.t, d.inverse), v_mul(v_add(s.wrong, s.right), d.inverse)), scale);
}

INLINE element k_binary_cross_entropy(element_input in, settings c) {
    sides s = sides_of(in.x, in.z, v_sub(v_set(1), in.z));
    decay d = decay_of(exp_minus(v_abs(in.x)));
    return (element){k_binary_cross_entropy_with_logits(in.x, in.z), binary_gradient(in.x, s, d, c.scale),
                     binary_hessian(s, d, c.scale)};
}

/* An element that weighs nothing does not count, even where its loss is infinite or nan. */
INLINE element unless_weightless(element e, mask nothing) {
    vec zero = v_set(0);
    return (element){v_select(nothing, zero, e.loss), v_select(nothing, zero, e.gradient),
                     v_select(nothing, zero, e.hessian)};
}

/* weight times a target's share, which may be 0 where the weight is infinite: then it is 0, too; but nan remains. */
INLINE vec share_of(vec weight, vec share) {
    mask none = mask_and(v_eq(share, v_set(0)), v_eq(weight, weight));
    return v_select(none, v_set(0), v_mul(weight, share));
}

/* The loss of both sides, with the limit 0 where |x| or the wrong side is 0. */
INLINE vec loss_of_sides(vec magnitude, sides s) {
    vec zero = v_set(0);
    mask agrees = mask_or(v_eq(s.wrong, zero), v_eq(magnitude, zero));
    vec factor = v_select(agrees, zero, magnitude), wrong = v_select(agrees, zero, s.wrong);
    return v_fma(factor, wrong, v_mul(v_add(s.wrong, s.right), log1p_exp_minus(magnitude)));
}

/* An infinite weight comes last, as the two sides would be a difference of infinities. */
INLINE element k_binary_cross_entropy_weighted(element_input in, settings c) {
    vec x = in.x, zero = v_set(0), one = v_set(1), magnitude = v_abs(x);
    mask infinite = v_eq(v_abs(in.weight), v_set(REAL_INFINITY));
    vec weight = v_select(infinite, one, in.weight), last = v_select(infinite, in.weight, one);
    vec positive = share_of(v_mul(weight, in.pos_weight), in.z), scale = v_mul(last, c.scale);
    sides s = sides_of(x, positive, share_of(weight, v_sub(one, in.z)));
    decay d = decay_of(exp_minus(magnitude));
    vec loss = v_mul(last, loss_of_sides(magnitude, s));
    element e = {v_select(v_eq(x, x), loss, x), binary_gradient(x, s, d, scale), binary_hessian(s, d, scale)};
    mask both = mask_and(v_eq(s.wrong, zero), v_eq(s.right, zero));
    return unless_weightless(e, mask_or(v_eq(in.weight, zero), both));
}

/* ---- focal loss: weight m^gamma b. b is the binary cross-entropy; m = z sigmoid(-x) + (1 - z) sigmoid(x) is the
   probability of the other target (Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection", 2017)
   ---- */

typedef struct {
    vec up;    /* sigmoid(x) */
    vec down;  /* sigmoid(-x) */
    vec other; /* m */
} probabilities;

INLINE probabilities probabilities_of(vec x, vec z) {
    decay d = decay_of(exp_minus(v_abs(x)));
    vec high = d.inverse, low = v_mul(d.t, d.inverse);
    mask below = v_lt(x, v_set(0));
    vec up = v_select(below, low, high), down = v_select(below, high, low);
    return (probabilities){up, down, v_fma(z, down, v_mul(v_sub(v_set(1), z), up))};
}

/* log m in two words: -softplus(u) = -max(u, 0) - log1p(e^-|u|) with u = x, -x for the targets 1, 0, where m may be too
   small for a number. Of the first term no digit is lost. */
INLINE dw log_other(vec x, vec z, vec m) {
    vec zero = v_set(0), one = v_set(1);
    mask is_one = v_eq(z, one), hard = mask_or(is_one, v_eq(z, zero));
    vec u = v_select(is_one, x, v_neg(x)), minus_tail = v_neg(log1p_exp_minus(v_abs(x)));
    dw of_label = dw_two_sum(v_max(v_min(v_neg(u), zero), v_set(-REAL_MAX / 2)), minus_tail);
    dw other = m_log(v_select(hard, one, m));
    return (dw){v_select(hard, of_label.hi, other.hi), v_select(hard, of_label.lo, other.lo)};
}

/* m^gamma = e^(gamma log m), which is 1 for gamma = 0, and 0 below EXP_MIN. */
INLINE vec power_of(dw log_m, vec gamma) {
    dw product = dw_mul(gamma, log_m.hi);
    vec low = v_fma(gamma, log_m.lo, product.lo);
    mask none = v_lt(product.hi, v_set(EXP_MIN));
    scaled e = m_exp_dw(v_select(none, v_set(EXP_MIN), product.hi), v_select(none, v_set(0), low), v_set(ROUNDER));
    return m_scale(e.mantissa, e.exponent);
}

/* The factor of b: the weights of the element and of its target, times m^gamma. */
INLINE vec focal_factor(element_input in, settings c, vec m) {
    vec balance = v_fma(c.positive, in.z, v_mul(c.negative, v_sub(v_set(1), in.z)));
    return v_mul(v_mul(in.weight, balance), power_of(log_other(in.x, in.z, m), c.gamma));
}

/* r = m'/m is -sigmoid(x) for z = 1, sigmoid(-x) for z = 0, and (1 - 2 z) sigmoid(x) sigmoid(-x)/m between. */
INLINE vec focal_rate(vec z, probabilities p) {
    vec one = v_set(1), rest = v_sub(one, z);
    vec between =
        v_div(v_mul(v_sub(rest, z), v_mul(p.up, p.down)), v_select(v_lt(p.other, v_set(REAL_MIN)), one, p.other));
    return v_select(v_eq(z, one), v_neg(p.up), v_select(v_eq(z, v_set(0)), p.down, between));
}

/* The derivatives of m^gamma b, divided by m^gamma, by the product rule:
     b' + gamma r b,    b'' + 2 gamma r b' + gamma r b ((gamma - 1) r + m''/m'),   m''/m' = sigmoid(-x) - sigmoid(x). */
INLINE element focal_derivatives(vec z, vec b, probabilities p, vec gamma) {
    vec r = focal_rate(z, p), slope = v_mul(v_mul(gamma, r), v_min(b, v_set(REAL_MAX)));
    vec b1 = v_fnma(z, p.down, v_mul(v_sub(v_set(1), z), p.up)), b2 = v_mul(p.up, p.down);
    vec bend = v_add(v_mul(v_sub(gamma, v_set(1)), r), v_sub(p.down, p.up));
    vec curve = v_add(v_fma(v_mul(v_add(gamma, gamma), r), b1, b2), v_mul(slope, bend));
    return (element){b, v_add(b1, slope), curve};
}

/* An element that weighs nothing costs 0; another one costs nan if its logit or target is nan. */
INLINE element k_focal(element_input in, settings c) {
    vec x = in.x, z = in.z, zero = v_set(0);
    probabilities p = probabilities_of(x, z);
    vec factor = focal_factor(in, c, p.other), b = k_binary_cross_entropy_with_logits(x, z);
    element d = focal_derivatives(z, b, p, c.gamma);
    element e = {v_mul(factor, b), v_mul(v_mul(factor, d.gradient), c.scale), v_mul(v_mul(factor, d.hessian), c.scale)};
    e = unless_weightless(e, v_eq(factor, zero)); /* not 0 times inf */
    vec nothing_or_nan = v_select(mask_or(v_ne(x, x), v_ne(z, z)), v_set(REAL_NAN), zero);
    e = (element){v_add(e.loss, nothing_or_nan), v_add(e.gradient, nothing_or_nan), v_add(e.hessian, nothing_or_nan)};
    return unless_weightless(e, v_eq(in.weight, zero));
}

/* The loss alone, for gamma = 2: the power is a square. Where the target is 0 or 1, b = softplus(u) and m = sigmoid(u),
   u being x for the target 0 and -x for 1. All else goes the general way: other targets, and logits whose m^2 might be
   subnormal. No lane depends on another one. */
RARE vec focal_loss_of_all(element_input in, settings c) { return k_focal(in, c).loss; }
INLINE element k_focal_square(element_input in, settings c) {
    mask is_one = v_eq(in.z, v_set(1)), is_near = v_le(v_abs(in.x), v_set(REAL(-0.5) * NORMAL_MIN));
    vec hard = v_select(is_one, v_set(1), v_set(0)), checked = v_select(is_near, in.z, v_set(REAL_NAN));
    vec u = v_select(is_one, v_neg(in.x), in.x), m = k_sigmoid(u);
    vec weight = v_mul(in.weight, v_select(is_one, c.positive, c.negative));
    vec loss = v_add(v_mul(v_mul(weight, v_mul(m, m)), k_softplus(u)), v_set(0)); /* 0 is +0 */
    mask others = v_ne(checked, hard);
    if (RARELY(mask_any(others))) loss = v_select(others, focal_loss_of_all(in, c), loss);
    return (element){.loss = loss};
}

/* ---- Kullback-Leibler divergence: p (log p - log q), 0 where p is 0 ---- */

INLINE element kl_divergence_of(vec p, dw log_p, vec log_q) {
    dw difference = dw_two_sum(log_p.hi, v_neg(log_q));
    vec infinite = v_sub(log_p.hi, log_q), small = v_add(difference.lo, log_p.lo);
    mask finite = v_lt(v_abs(infinite), v_set(REAL_INFINITY));
    mask nothing = mask_and(v_eq(log_p.hi, v_set(-REAL_INFINITY)), v_eq(log_q, log_q));
    vec loss = v_select(finite, v_mul(p, v_add(difference.hi, small)), infinite);
    return (element){.loss = v_select(nothing, v_set(0), loss)};
}

/* Elements whose p is neither 0 nor a normal number, or whose log q is not finite. */
RARE vec kl_divergence_of_all(vec p, vec log_q) { return kl_divergence_of(p, m_log(p), log_q).loss; }

/* The bits of 0, less one, are a nan, which is not below. */
INLINE element k_kl_divergence(element_input in, settings c) {
    (void)c;
    vec p = in.z, log_q = in.x, largest = v_set(REAL_MAX);
    mask low = v_lt(v_real(i_sub(v_bits(p), i_set(1))), v_set(REAL_MIN)), high = v_ne(v_min(largest, p), p);
    mask others = mask_or(mask_or(low, high), v_ne(v_min(largest, v_abs(log_q)), v_abs(log_q)));
    dw log_p = m_log_usual(p), difference = dw_two_sum(log_p.hi, v_neg(log_q));
    vec loss = v_mul(p, v_add(difference.hi, v_add(difference.lo, log_p.lo)));
    loss = v_select(v_eq(p, v_set(0)), v_set(0), loss);
    if (RARELY(mask_any(others))) loss = v_select(others, kl_divergence_of_all(p, log_q), loss);
    return (element){.loss = loss};
}

/* Above 0, where log p is no probability's, p is the square of e^(log p / 2), which does not overflow before p does. */
RARE vec kl_divergence_of_all_logs(vec log_p, vec log_q) {
    vec zero = v_set(0), half = v_mul(v_max(log_p, zero), v_set(REAL(0.5)));
    vec root = m_exp_word(v_min(half, v_set(-NORMAL_MIN)), m_word_rounder(zero));
    vec p = v_select(v_lt(zero, log_p), v_mul(root, root), exp_minus(v_max(v_neg(log_p), zero)));
    return kl_divergence_of(v_select(v_eq(log_p, log_p), p, log_p), (dw){log_p, zero}, log_q).loss;
}

/* The target is log p. Where p is normal and at most 1, the limits of the difference are those of the loss. */
INLINE element k_kl_divergence_of_logs(element_input in, settings c) {
    (void)c;
    vec log_p = in.z, usual = v_min(v_set(0), v_max(v_set(NORMAL_MIN), log_p));
    vec zero = v_set(0), loss = v_fma(m_exp_word(usual, m_word_rounder(zero)), v_sub(log_p, in.x), zero); /* 0 is +0 */
    mask others = v_ne(usual, log_p);
    if (RARELY(mask_any(others))) loss = v_select(others, kl_divergence_of_all_logs(log_p, in.x), loss);
    return (element){.loss = loss};
}
