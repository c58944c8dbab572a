// The backbone out of the built library: shapes, a block against its equation, gradients.
#include <hearth/testing.hpp>

namespace {

using namespace hearth;
using namespace hearth::testing;

Made<Backbone> make(const std::vector<std::string>& options = {"dims=[6, 8]", "depths=[1, 2]"}) {
    static const Plugin plugin(HEARTH_PLUGIN_FILE);
    return plugin.make<Backbone>("small-convnext", options, {{"B", 2}, {"C", 1}, {"H", 16}, {"W", 24}});
}

void writes_what_it_declares() {
    const auto backbone = make();
    const auto out = backbone->forward(backbone.inputs(), Context{});
    backbone.expect_declared(out);
    expect(out["tokens"].sizes() == at::IntArrayRef({2, 6, 8}), "2 x 3 tokens of 8 channels");
    expect_close(out["tokens"][0][4], out["features.2"].select(0, 0).select(1, 1).select(1, 1));
}

void has_blocks_that_are_the_equation() {
    const auto backbone = make({"dims=[6]", "depths=[1]"});
    const auto weights = backbone->named_parameters();
    {
        const at::NoGradGuard no_grad;
        weights["stages.0.0.gamma"].fill_(0.5);
    }
    const auto in = backbone.inputs();
    const auto of = [&](const std::string& name) { return weights[name]; };
    const auto pixels = (in["image"] - 0.5) / 0.25;
    const auto last = [](const at::Tensor& maps) { return maps.permute({0, 2, 3, 1}); };
    const auto x = at::layer_norm(last(at::conv2d(pixels, of("shrinks.0.weight"), of("shrinks.0.bias"), 4)),
                                  {6}, of("norm0.weight"), of("norm0.bias"), 1e-6);
    const auto mixed = at::conv2d(x.permute({0, 3, 1, 2}), of("stages.0.0.depthwise.weight"),
                                  of("stages.0.0.depthwise.bias"), 1, 3, 1, 6);
    const auto y =
        at::layer_norm(last(mixed), {6}, of("stages.0.0.norm.weight"), of("stages.0.0.norm.bias"), 1e-6);
    const auto hidden = at::gelu(at::linear(y, of("stages.0.0.expand.weight"), of("stages.0.0.expand.bias")));
    const auto added = at::linear(hidden, of("stages.0.0.project.weight"), of("stages.0.0.project.bias"));
    const auto out = backbone->forward(in, Context{});
    expect_close(last(out["features.1"]), x + 0.5 * added);
}

void is_trained_whole() {
    const auto backbone = make();
    expect(without_gradient(backbone, backbone.inputs()).empty(), "a gradient for every parameter");
    expect(gradient_error(backbone, backbone.inputs(), "image") < 1e-6, "gradients that are the slope");
}

void says_its_unit() {
    expect(make({"dims=[8]", "depths=[1]", "mean=0.4"})->normalization().mean == std::vector<double>{0.4},
           "the mean of the option");
    expect(make()->features() == "cls", "the vector that describes an image");
}

void refuses_stages_that_do_not_agree() {
    expect_refusal([] { make({"dims=[8]"}); }, "found 1 dims and 3 depths");
    expect_refusal([] { make({"dims=[8, 8, 8, 8]", "depths=[1, 1, 1, 1]"}); }, "expected a multiple of 32");
}

}  // namespace

int main() {
    return run_all({{"it writes what it declares", writes_what_it_declares},
                    {"its block is the equation", has_blocks_that_are_the_equation},
                    {"every parameter gets a gradient, which is the slope", is_trained_whole},
                    {"it says its unit and its feature", says_its_unit},
                    {"it refuses stages that do not agree", refuses_stages_that_do_not_agree}});
}
