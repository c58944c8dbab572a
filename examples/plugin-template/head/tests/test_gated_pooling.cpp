// The head out of the built library, against its equation written out by hand.
#include <hearth/testing.hpp>

namespace {

using namespace hearth;
using namespace hearth::testing;

Made<Head> make() {
    static const Plugin plugin(HEARTH_PLUGIN_FILE);
    return plugin.make<Head>("gated-pooling", {"hidden=4"}, {{"B", 2}, {"L", 3}, {"D", 5}});
}

void is_the_equation() {
    const auto head = make();
    const auto in = head.inputs();
    const auto out = head->forward(in, Context{});
    const auto weights = head->named_parameters();
    const auto map = [&](const std::string& name, const at::Tensor& x) {
        return weights[name + ".weight"].matmul(x) + weights[name + ".bias"];
    };
    std::vector<at::Tensor> scores;
    for (std::int64_t k = 0; k < 3; ++k) {
        const auto h = in["tokens"][1][k];
        scores.push_back(weights["score.weight"][0].dot(map("value", h).tanh() * map("gate", h).sigmoid()));
    }
    const auto attention = at::stack(scores).softmax(0);
    expect_close(out["weights"][1], attention);
    expect_close(out["pooled"][1], attention.matmul(in["tokens"][1]));
}

void writes_what_it_declares() {
    const auto head = make();
    head.expect_declared(head->forward(head.inputs(), Context{}));
}

void is_trained_whole() {
    const auto head = make();
    expect(without_gradient(head, head.inputs()).empty(), "a gradient for every parameter");
    expect(gradient_error(head, head.inputs(), "tokens") < 1e-6, "gradients that are the slope");
}

}  // namespace

int main() {
    return run_all({{"it is the equation", is_the_equation},
                    {"it writes what it declares", writes_what_it_declares},
                    {"every parameter gets a gradient, which is the slope", is_trained_whole}});
}
