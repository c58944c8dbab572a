// The loss out of the built library, against its equation written out by hand.
#include <cmath>
#include <hearth/testing.hpp>

namespace {

using namespace hearth;
using namespace hearth::testing;

Made<Loss> make(const std::vector<std::string>& options = {}) {
    static const Plugin plugin(HEARTH_PLUGIN_FILE);
    return plugin.make<Loss>("variance-floor", options, {{"B", 4}, {"D", 3}});
}

void is_the_equation() {
    const auto z = at::tensor({1.0, 2.0, 5.0, 1.0, 2.0, 9.0}, at::kFloat).view({2, 3});
    const auto out = make({"eps=0.01"})->forward({{"cls", z}}, Context{});
    // Variances 0, 0 and 8: the third feature is above the floor of 1.
    const auto below = 1 - std::sqrt(0.01);
    expect_close(out.total, at::full({}, 2 * below / 3));
    expect_close(out.terms.at(0).second, at::full({}, (2 * std::sqrt(0.01) + std::sqrt(8.01)) / 3));
}

void is_zero_above_the_floor() {
    const auto loss = make();
    expect_close(loss->forward({{"cls", 100 * loss.inputs()["cls"]}}, Context{}).total, at::zeros({}));
}

void has_the_slope_as_gradient() {
    const auto loss = make({"gamma=3"});
    expect(gradient_error(loss, loss.inputs(), "cls") < 1e-6, "gradients that are the slope");
}

void takes_one_image() {
    const auto loss = make();
    loss.expect_declared(loss->forward({{"cls", at::randn({1, 3})}}, Context{}));
}

void refuses_an_option_out_of_range() {
    expect_refusal([] { make({"gamma=0"}); }, "expected between 1e-06 and 1000000");
}

}  // namespace

int main() {
    return run_all({{"it is the equation", is_the_equation},
                    {"it is zero above the floor", is_zero_above_the_floor},
                    {"its gradient is its slope", has_the_slope_as_gradient},
                    {"it takes a batch of one image", takes_one_image},
                    {"it refuses an option out of range", refuses_an_option_out_of_range}});
}
