#include "common/transformer/attention.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>

#include <cmath>
#include <hearth/error.hpp>
#include <hearth/precision.hpp>
#include <hearth/tokens.hpp>
#include <vector>

namespace hearth::transformer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;

// Above this length the N x N scores outgrow a core's cache.
constexpr std::int64_t longest_explicit = 1024;

// out = scale * a b, of as many matrices
void product(Tensor out, const Tensor& a, const Tensor& b, double scale = 1) {
    if (out.size(0) > 1) {
        at::baddbmm_out(out, out, a, b, 0, scale);
        return;
    }
    auto matrix = out[0];  // strided batches of one take ATen five times as many views
    at::addmm_out(matrix, matrix, a[0], b[0], 0, scale);
}

/// Some heads of one sample.
struct Part {
    std::int64_t sample, first, count;

    // Of packed projections [B, N, 3, heads, d]: query, key and value, [3, count, N, d].
    Tensor unpack(const Tensor& qkv) const {
        return qkv.select(0, sample).narrow(2, first, count).permute({1, 2, 0, 3});
    }
    // Of [B, N, heads, d]: [count, N, d].
    Tensor tokens(const Tensor& x) const { return x.select(0, sample).narrow(1, first, count).transpose(0, 1); }
    // Of [B, heads, N, N]: [count, N, N].
    Tensor matrices(const Tensor& x) const { return x.select(0, sample).narrow(0, first, count); }
};

/// Several strided matrices as a product wants them: oneDNN, which makes those in bf16, copies each strided
/// operand at each use.
Tensor for_products(const Tensor& x) {
    return x.size(-3) > 1 ? x.contiguous() : x;
}

/// What products write to in the place of strided matrices: those themselves, or contiguous ones, copied back
/// by store().
Tensor for_results(const Tensor& x) {
    return x.size(-3) > 1 ? at::empty(x.sizes(), x.options()) : x;
}
void store(const Tensor& place, const Tensor& results) {
    if (!results.is_same(place)) place.copy_(results);
}

/// Calls body(part, scratch), the operation `name` of profiles, for all heads of all samples of qkv [B, N, 3,
/// heads, d]; each thread has a scratch [matrices, count, N, N] of its own, and its products run on that thread
/// alone.
template <class Body>
void for_each_part(const char* name, const Tensor& qkv, std::int64_t matrices, const Body& body) {
    RECORD_FUNCTION(name, std::vector<c10::IValue>());
    const auto b = qkv.size(0), n = qkv.size(1), heads = qkv.size(3);
    const bool few = b < at::get_num_threads(), bf16 = qkv.scalar_type() == at::kBFloat16;
    // One head's scores fit a core's cache; but in bf16 oneDNN takes longer to begin a product than to make
    // one.
    const auto count = !bf16 && (few || n >= 128) ? 1 : heads;
    const auto grain = few && count == heads ? b : 1;  // fewer parts than threads: each on all threads
    at::parallel_for(0, b * heads / count, grain, [&](std::int64_t begin, std::int64_t end) {
        // Both are a thread's own state, and a worker of the pool begins with the defaults.
        const at::AutoDispatchBelowADInplaceOrView below;
        const FullPrecision exact;
        const auto scratch = at::empty({matrices, count, n, n}, qkv.options());
        for (auto i = begin; i < end; ++i)
            body(Part{.sample = i * count / heads, .first = i * count % heads, .count = count}, scratch);
    });
}

/// Head by head: scores stay in a core's cache, products read and write the packed layout, and no head is
/// copied into a layout of its own.
class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
  public:
    static Tensor forward(AutogradContext* ctx, const Tensor& packed, std::int64_t heads, bool keep) {
        const at::AutoDispatchBelowADInplaceOrView below;
        const auto b = packed.size(0), n = packed.size(1), d = packed.size(2) / (3 * heads);
        const auto qkv = packed.contiguous().view({b, n, 3, heads, d});
        const auto out = at::empty({b, n, heads, d}, packed.options());
        const auto kept = at::empty({keep ? b : 0, heads, n, n}, packed.options());
        for_each_part("hearth::attention", qkv, keep ? 1 : 2, [&](const Part& part, const Tensor& scratch) {
            const auto parts = for_products(part.unpack(qkv)), tokens = part.tokens(out),
                       results = for_results(tokens), p = keep ? part.matrices(kept) : scratch[1];
            probabilities(parts, scratch[0], p);
            product(results, p, parts[2]);
            store(tokens, results);
        });
        ctx->save_for_backward({qkv, kept});
        return out.view({b, n, heads * d});
    }

    static torch::autograd::tensor_list backward(AutogradContext* ctx, torch::autograd::tensor_list grads) {
        if (at::GradMode::is_enabled())
            throw Error(ExitCode::internal,
                        "attention on the CPU has no second derivative (found create_graph); run on CUDA with "
                        "the mathematical kernel, or take the gradient penalty on another network");
        const auto saved = ctx->get_saved_variables();
        const auto &qkv = saved[0], &kept = saved[1];
        const auto b = qkv.size(0), n = qkv.size(1), heads = qkv.size(3), d = qkv.size(4);
        const bool keep = kept.size(0) == b;
        const auto grad = grads[0].contiguous().view({b, n, heads, d});
        const auto out = at::empty_like(qkv);
        for_each_part("hearth::attention_backward", qkv, keep ? 2 : 3,
                      [&](const Part& part, const Tensor& scratch) {
                          const auto parts = for_products(part.unpack(qkv)), place = part.unpack(out),
                                     results = for_results(place), g = for_products(part.tokens(grad));
                          const auto q = parts[0], k = parts[1], v = parts[2], dp = scratch[0],
                                     p = keep ? part.matrices(kept) : scratch[2];
                          auto ds = scratch[1];
                          if (!keep) probabilities(parts, scratch[0], p);
                          product(results[2], p.transpose(1, 2), g);
                          product(dp, g, v.transpose(1, 2));
                          at::_softmax_backward_data_out(ds, dp, p, -1, p.scalar_type());
                          product(results[0], ds, k, scale_of(q));
                          product(results[1], ds.transpose(1, 2), q, scale_of(q));
                          store(place, results);
                      });
        return {out.view({b, n, 3 * heads * d}), Tensor(), Tensor()};
    }

  private:
    static double scale_of(const Tensor& queries) {
        return 1 / std::sqrt(static_cast<double>(queries.size(-1)));
    }
    static void probabilities(const Tensor& parts, const Tensor& scores, Tensor out) {
        product(scores, parts[0], parts[1].transpose(1, 2), scale_of(parts[0]));
        at::_softmax_out(out, scores, -1, false);
    }
};

}  // namespace

Tensor attention(const Tensor& qkv, std::int64_t heads, std::int64_t most) {
    const auto b = qkv.size(0), n = qkv.size(1), d = qkv.size(2) / (3 * heads);
    const auto bytes = b * heads * n * n * static_cast<std::int64_t>(qkv.element_size());
    const bool backward = at::GradMode::is_enabled() && qkv.requires_grad();
    if (qkv.device().is_cpu() && n <= longest_explicit)
        return AttentionFunction::apply(qkv, heads, /*keep=*/backward && bytes <= most);
    const auto parts = qkv.view({b, n, 3, heads, d}).permute({2, 0, 3, 1, 4}).unbind(0);
    return at::scaled_dot_product_attention(parts[0], parts[1], parts[2])
        .transpose(1, 2)
        .reshape({b, n, heads * d});
}

}  // namespace hearth::transformer
