// Prototypes on the unit sphere (Caron et al. 2020, SwAV, https://arxiv.org/abs/2006.09882, section 3): an
// embedding is scored by its cosine with each of them.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/nn/init.h>

#include <cmath>
#include <hearth/hearth.hpp>

#include "common/nn/linear.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// embedding [B, D] of unit length -> scores [B, K], s_k = z . c_k, and the prototypes c [K, D] themselves.
/// Rows of the weight are brought to unit length before every update, so that scores are cosines; in between it
/// moves as any weight does. The product is in fp32.
/// Parameter: weight [K, D].
class Prototypes : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("out", 3000).range(1, 1 << 20).doc("K, the number of prototypes");
    }
    static Ports reads(const Options&) { return {Port("embedding", "B D", "of unit length")}; }
    static Ports writes(const Options& options) {
        const Dim out = options.integer("out");
        return {Port("scores", Shape{"B", out}, "cosines with the prototypes"),
                Port("prototypes", Shape{out, "D"}, "the prototypes, one a row")};
    }

    Prototypes(const Options& options, const Symbols& symbols) {
        const auto width = symbols.value("D");
        weight_ = register_parameter("weight", at::empty({options.integer("out"), width}));
        // As a linear layer of its size starts.
        const auto bound = 1 / std::sqrt(static_cast<double>(width));
        torch::nn::init::uniform_(weight_, -bound, bound);
        to_unit_length();
    }

    void before_step(const Context&) override { to_unit_length(); }

    Tensors forward(const Tensors& in, const Context&) override {
        const FullPrecision exact;
        return {{"scores", nn::linear(in["embedding"].to(weight_.scalar_type()), weight_, Tensor())},
                {"prototypes", weight_}};
    }

  private:
    void to_unit_length() {
        const at::NoGradGuard no_grad;
        weight_.div_(at::linalg_vector_norm(weight_, 2, at::IntArrayRef{-1}, true).clamp_min_(1e-12));
    }

    Tensor weight_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "prototypes",
                          .version = "0.1.0",
                          .summary = "Prototypes of unit length, scored by cosines",
                          .url = "https://github.com/facebookresearch/swav",
                          .paper = "https://arxiv.org/abs/2006.09882"}),
              component<Prototypes>("embedding of unit length -> cosines with K trained prototypes"))
