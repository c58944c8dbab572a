// Classifies an image's features by an MLP with batch normalisation: the head that learns a pretext task on a
// backbone and is left out afterwards (CutPaste, Li et al. 2021, arXiv:2104.04015; AnatPaste, Sato et al. 2023,
// arXiv:2205.04282). Parameters carry the names of AnatPaste's official code.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <hearth/hearth.hpp>

#include "common/nn/linear.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// cls [B, D] -> logits [B, K], and embedding [B, E], what the last map reads:
///   x_0 = cls,   x_i = relu(norm(x_{i-1} W_i^T + b_i)),   logits = x_n W^T + b,   embedding = x_n
/// `hidden` says the widths of x_1 to x_n; without any, the head is linear and the embedding cls.
/// Parameters and buffers: head.{0,3,..}.{weight,bias} (maps), head.{1,4,..}.{weight,bias,running_mean,
/// running_var,num_batches_tracked} (norms), out.{weight,bias}; initial values are those of torch.nn.
class MlpClassifier : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("out", 2).range(1, 1'000'000).doc("K, the number of classes");
        schema.integers("hidden", {512, 128}).range(1, 65536).doc("widths of the hidden layers");
    }
    static Ports reads(const Options&) { return {Port("cls", "B D", "one vector an image")}; }
    static Ports writes(const Options& options) {
        const auto& hidden = options.integers("hidden");
        return {Port("logits", Shape{"B", options.integer("out")}, "unnormalised log-probabilities"),
                Port("embedding", Shape{"B", hidden.empty() ? Dim("D") : Dim(hidden.back())},
                     "output of the last hidden layer")
                    .maybe()};
    }

    MlpClassifier(const Options& options, const Symbols& symbols) {
        auto width = symbols.value("D");
        const auto head = register_module("head", std::make_shared<torch::nn::Module>("head"));
        std::size_t place = 0;  // activations count, and have no parameters
        for (const auto next : options.integers("hidden")) {
            layers_.push_back({torch::nn::Linear(width, next), torch::nn::BatchNorm1d(next)});
            head->register_module(std::to_string(place), layers_.back().map);
            head->register_module(std::to_string(place + 1), layers_.back().norm);
            place += 3;
            width = next;
        }
        out_ = register_module("out", torch::nn::Linear(width, options.integer("out")));
    }

    Tensors forward(const Tensors& in, const Context& context) override {
        const bool training = context.training && is_training();
        auto x = in["cls"];
        for (auto& layer : layers_) x = normalised(layer.norm, nn::linear(x, layer.map), training).relu();
        return {{"logits", nn::linear(x, out_)}, {"embedding", x}};
    }

  private:
    struct Layer {
        torch::nn::Linear map;
        torch::nn::BatchNorm1d norm;
    };

    /// Batch normalisation (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167) of x [B, D], momentum 0.1
    /// and eps 1e-5, in fp32. In training the running statistics move.
    static Tensor normalised(torch::nn::BatchNorm1d& norm, const Tensor& x, bool training) {
        if (training && x.size(0) == 1)
            throw RecipeError(
                "mlp-classifier: batch normalisation found one vector, expected at least two; raise "
                "train.batch");
        if (training) {
            const at::NoGradGuard no_grad;
            norm->num_batches_tracked += 1;
        }
        return at::batch_norm(at_least_float(x), norm->weight, norm->bias, norm->running_mean,
                              norm->running_var, training, *norm->options.momentum(), norm->options.eps(),
                              /*cudnn_enabled=*/true);
    }

    std::vector<Layer> layers_;
    torch::nn::Linear out_{nullptr};
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "mlp-classifier",
                          .version = "0.1.0",
                          .summary = "Classifier with hidden layers and batch normalisation",
                          .url = "https://github.com/jun-sato/AnatPaste",
                          .paper = "https://arxiv.org/abs/2104.04015"}),
              component<MlpClassifier>("features of an image -> logits and the last hidden layer"))
