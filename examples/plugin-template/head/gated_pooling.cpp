// Gated attention pooling (Ilse et al. 2018, https://arxiv.org/abs/1802.04712, eq. 8 and 9): one vector of an image, to
// which a patch contributes by how much it matters.
#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

/// h [B, L, D] -> z = sum_k a_k h_k [B, D], a = softmax_k(w^T (tanh(V h_k) * sigmoid(U h_k))) [B, L]
class GatedPooling : public Head {
  public:
    static void schema(Schema& schema) { schema.integer("hidden", 128).range(1, 65536).doc("rows of V and U"); }
    static Ports reads(const Options&) { return {Port("tokens", "B L D", "one vector a patch")}; }
    static Ports writes(const Options&) {
        return {Port("pooled", "B D", "one vector an image"),
                Port("weights", "B L", "how much each patch counts; the sum over an image is 1").maybe()};
    }

    // Here the plan has bound every symbol of `reads` but the batch size.
    GatedPooling(const Options& options, const Symbols& symbols) {
        const auto width = symbols.value("D"), hidden = options.integer("hidden");
        value_ = register_module("value", torch::nn::Linear(width, hidden));
        gate_ = register_module("gate", torch::nn::Linear(width, hidden));
        score_ = register_module("score", torch::nn::Linear(torch::nn::LinearOptions(hidden, 1).bias(false)));
    }

    Tensors forward(const Tensors& in, const Context& context) override {
        const auto& tokens = in["tokens"];
        const auto score = score_(value_(tokens).tanh() * gate_(tokens).sigmoid()).squeeze(-1);  // [B, L]
        const FullPrecision exact;
        const auto attention = at_least_float(score).softmax(1);
        Tensors out = {{"pooled", at::bmm(attention.unsqueeze(1), at_least_float(tokens)).squeeze(1)}};
        if (context.wants("weights")) out.set("weights", attention);
        return out;
    }

  private:
    torch::nn::Linear value_{nullptr}, gate_{nullptr}, score_{nullptr};
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "gated-pooling",
                          .version = "0.1.0",
                          .summary = "Pools tokens by gated attention",
                          .paper = "https://arxiv.org/abs/1802.04712"}),
              component<GatedPooling>())
