// A linear classifier on the vector of an image: the head of a supervised baseline.
#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <hearth/hearth.hpp>

namespace hearth {
namespace {

/// cls [B, D] -> logits [B, K]: logits = cls W^T + b, with `weight` [K, D] and `bias` [K].
class Linear : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("out", 2).range(1, 1'000'000).doc("K, the number of classes");
    }
    static Ports reads(const Options&) { return {Port("cls", "B D", "one vector an image")}; }
    static Ports writes(const Options& options, const Symbols&) {
        return {Port("logits", Shape{"B", options.integer("out")}, "unnormalised log-probabilities")};
    }

    Linear(const Options& options, const Symbols& symbols)
        : weight_(register_parameter("weight", at::empty({options.integer("out"), symbols.value("D")}))),
          bias_(register_parameter("bias", at::zeros({options.integer("out")}))) {
        torch::nn::init::normal_(weight_, 0, 0.01);
    }

    Tensors forward(const Tensors& in, const Context&) override {
        return {{"logits", at::linear(in["cls"], weight_, bias_)}};
    }

  private:
    at::Tensor weight_, bias_;
};

}  // namespace
}  // namespace hearth

HEARTH_PLUGIN((hearth::PluginInfo{.id = "linear", .version = "0.1.0", .summary = "Linear classifier"}),
              hearth::component<hearth::Linear>("linear", "linear classifier of the class token"))
