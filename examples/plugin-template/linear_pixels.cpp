// Pixels from tokens with a single linear layer, the prediction head of SimMIM (Xie et al. 2022,
// arXiv:2111.09886, section 3.3): as good as a deep decoder for pre-training, and much cheaper.
#include <torch/nn/modules/linear.h>

#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

/// tokens [B, L, D], image [B, C, H, W] -> restored [B, C, H, W]
/// The layer writes pixels as the backbone normalises them; with the backbone's mean and deviation they become
/// an image in [0, 1]. The deviation is passed on, so that a loss measures errors in the layer's own unit.
class LinearPixels : public Head {
  public:
    static void schema(Schema& schema) {
        schema.boolean("bias", true).doc("add a trainable offset to every pixel of a patch");
        schema.number("init_std", 0.02).range(0, 1).doc("standard deviation of the initial weights");
    }
    static Ports reads(const Options&) {
        return {Port("tokens", "B L D", "patch tokens of a backbone"),
                Port("image", "B C H W", "only for its shape"),
                Port("pixel_mean", "B C", "mean of the backbone's pixels; unconnected: 0").maybe(),
                Port("pixel_std", "B C", "what the backbone divides them by; unconnected: 1").maybe()};
    }
    static Ports writes(const Options&) {
        return {Port("restored", "B C H W", "predicted image"),
                Port("restored.mean", "B C", "what was added to the layer's pixels").maybe(),
                Port("restored.std", "B C", "what they were multiplied by").maybe()};
    }

    // Here the plan has bound every symbol of `reads` but the batch size.
    LinearPixels(const Options& options, const Symbols& symbols)
        : channels_(symbols.value("C")),
          patch_(patch_edge(symbols.value("H"), symbols.value("W"), symbols.value("L"))) {
        const auto inputs = symbols.value("D"), outputs = patch_ * patch_ * channels_;
        predict_ = register_module(
            "predict",
            torch::nn::Linear(torch::nn::LinearOptions(inputs, outputs).bias(options.boolean("bias"))));
        const at::NoGradGuard no_grad;
        predict_->weight.normal_(0, options.number("init_std"));
        if (predict_->bias.defined()) predict_->bias.zero_();
    }

    Tensors forward(const Tensors& in, const Context&) override {
        const auto& image = in["image"];
        const auto pixels = unpatchify(predict_(in["tokens"]), channels_, image.size(2), image.size(3));
        const auto read = [&](const char* port, double otherwise) {
            return in.has(port) ? in[port] : at::full({image.size(0), channels_}, otherwise, image.options());
        };
        const auto mean = read("pixel_mean", 0), std = read("pixel_std", 1);
        const auto by_channel = [](const at::Tensor& value) { return value.unsqueeze(-1).unsqueeze(-1); };
        return {{"restored", pixels * by_channel(std) + by_channel(mean)},
                {"restored.mean", mean},
                {"restored.std", std}};
    }

  private:
    std::int64_t channels_, patch_;
    torch::nn::Linear predict_{nullptr};
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "linear-pixels",
                          .version = "0.1.0",
                          .summary = "A one-layer pixel decoder, the example of a third-party plugin",
                          .paper = "https://arxiv.org/abs/2111.09886"}),
              component<LinearPixels>("predicts pixels from tokens with one linear layer"))
