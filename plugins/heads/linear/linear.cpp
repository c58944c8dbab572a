// Classifies by one linear map of an image's features: the head of a supervised baseline, of
// fine-tuning and of probes.
#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

/// cls [B, D] and the mean of tokens [B, L, D], or one of them -> logits [B, K]:
///   logits = x W^T + b, x [B, D] or [B, 2D], with `weight` [K, D or 2D] and `bias` [K].
class Linear : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("out", 2).range(1, 1'000'000).doc("K, the number of classes");
        schema.text("features", "cls")
            .choices({"cls", "mean", "cls+mean"})
            .doc("the vector of an image, the mean of its tokens, or both side by side");
    }
    static Ports reads(const Options& options) {
        Ports ports;
        if (wants(options, "cls")) ports.emplace_back("cls", "B D", "one vector an image");
        if (wants(options, "mean")) ports.emplace_back("tokens", "B L D", "one vector a patch");
        return ports;
    }
    static Ports writes(const Options& options) {
        return {Port("logits", Shape{"B", options.integer("out")}, "unnormalised log-probabilities")};
    }

    Linear(const Options& options, const Symbols& symbols)
        : cls_(wants(options, "cls")),
          mean_(wants(options, "mean")),
          weight_(register_parameter(
              "weight", at::empty({options.integer("out"), symbols.value("D") * (cls_ && mean_ ? 2 : 1)}))),
          bias_(register_parameter("bias", at::zeros({options.integer("out")}))) {
        torch::nn::init::normal_(weight_, 0, 0.01);
    }

    Tensors forward(const Tensors& in, const Context&) override {
        std::vector<at::Tensor> parts;
        if (cls_) parts.push_back(in["cls"]);
        if (mean_) parts.push_back(in["tokens"].mean(1));
        return {{"logits", at::linear(at::cat(parts, 1), weight_, bias_)}};
    }

  private:
    static bool wants(const Options& options, const char* part) {
        return options.text("features").find(part) != std::string::npos;
    }

    bool cls_, mean_;
    at::Tensor weight_, bias_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "linear", .version = "0.1.0", .summary = "Linear classifier"}),
              component<Linear>("linear classifier of the class token, of the mean token, or of both"))
