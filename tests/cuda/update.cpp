// Clipping, AdamW and the moving average in two kernels, as loops of the host, against train/rules/adamw.cpp.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "cuda/host_twin.hpp"
#include "cuda/support.hpp"
#include "cuda/teams.hpp"
#include "train/update_rule.hpp"

using namespace hearth;
using namespace hearth::test;
using at::Tensor;
using cuda::bf16;

namespace {

constexpr double lr = 0.01, decay = 0.2, follows = 0.125;
constexpr int most = 16;  // elements of a piece

/// Four parameters, of one element to several pieces; the third is frozen, the fourth does not decay.
struct Net {
    Net() {
        at::manual_seed(11);
        for (const std::int64_t count : {40, 1, 5, 33}) {
            values.push_back(numbers({count}));
            for (auto* slot : {&average, &square}) slot->push_back(at::zeros({count}));
            moving_average.push_back(at::ones({count}));
            copy.push_back(at::zeros({count}, at::kBFloat16));
            average_copy.push_back(at::zeros({count}, at::kBFloat16));
            gradient.push_back(numbers({count}));
        }
    }

    std::vector<Tensor> values, average, square, moving_average, copy, average_copy, gradient;
    Tensor steps = at::zeros({4});
};

struct Told {
    double norm = 0, updated = -1;
};

template <class Run>
Told update(Net& net, double clip, bool by_all, const float* loss, const Run& run) {
    std::vector<cuda::Updated> parameters;
    std::vector<cuda::Piece> pieces;
    for (int i = 0; i < 4; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const auto count = static_cast<int>(net.values[at].numel()), first = static_cast<int>(pieces.size());
        for (int begin = 0; begin < count; begin += most)
            pieces.push_back({i, std::min(most, count - begin), begin});
        parameters.push_back(
            {.value = net.values[at].mutable_data_ptr<float>(),
             .gradient = net.gradient[at].const_data_ptr<float>(),
             .average = net.average[at].mutable_data_ptr<float>(),
             .square = net.square[at].mutable_data_ptr<float>(),
             .moving_average = i == 1 ? nullptr : net.moving_average[at].mutable_data_ptr<float>(),
             .copy = i == 3 ? nullptr : net.copy[at].mutable_data_ptr<bf16>(),
             .average_copy = net.average_copy[at].mutable_data_ptr<bf16>(),
             .rates = {lr, i == 3 ? 0 : static_cast<float>(decay), follows},
             .frozen = i == 2 ? 1 : 0,
             .first_piece = first,
             .pieces = static_cast<int>(pieces.size()) - first});
    }
    std::vector<double> squares(pieces.size(), NAN);
    const auto after = at::full({4}, NAN);
    std::vector<double> told(cuda::told_count, NAN);
    cuda::UpdateAll a{.parameters = parameters.data(),
                      .pieces = pieces.data(),
                      .piece_count = static_cast<int>(pieces.size()),
                      .squares = squares.data(),
                      .steps_before = net.steps.const_data_ptr<float>(),
                      .steps_after = after.mutable_data_ptr<float>(),
                      .counted = 4,
                      .loss = loss,
                      .told = told.data(),
                      .clip = clip,
                      .clip_by_all = by_all,
                      .beta1 = 0.9,
                      .beta2 = 0.95,
                      .eps = 1e-6};
    all_blocks(a, run);
    net.steps = after;
    CHECK(told[cuda::told_loss] == (loss == nullptr ? 0 : static_cast<double>(*loss)));
    return {told[cuda::told_norm], told[cuda::told_updated]};
}

/// The same by the rule that trains on the CPU.
void update_by_rule(Net& net, double clip, bool by_all) {
    const at::NoGradGuard no_grad;
    recipe::OptimizerSpec spec;
    spec.beta1 = 0.9;
    spec.beta2 = 0.95;
    spec.eps = 1e-6;
    const auto rule = train::update_rule(spec);
    const double total = at::cat(net.gradient).norm().item<double>();
    net.moving_average[2].lerp_(net.values[2], follows);  // a frozen leader is followed too
    for (const std::size_t i : {0, 1, 3}) {
        const double norm = by_all ? total : net.gradient[i].norm().item<double>();
        net.steps[static_cast<std::int64_t>(i)].add_(1);
        train::Update update{net.values[i],
                             net.gradient[i],
                             {net.average[i], net.square[i]},
                             net.steps[static_cast<std::int64_t>(i)],
                             clip > 0 && norm > clip ? clip / (norm + 1e-6) : 1.0,
                             {}};
        if (i != 1) update.moving_average = {net.moving_average[i], net.values[i], follows};
        rule->apply({.lr = lr, .weight_decay = i == 3 ? 0 : decay, .adapts = true}, {&update, 1});
    }
}

void check_same(const Net& found, const Net& expected) {
    for (const auto part : {&Net::values, &Net::average, &Net::square, &Net::moving_average})
        for (std::size_t i = 0; i < 4; ++i) {
            INFO("parameter " << i);
            CHECK(distance((found.*part)[i], (expected.*part)[i]) < 3e-6);
        }
    CHECK(at::equal(found.steps, expected.steps));
    for (const std::size_t i : {0, 1}) CHECK(at::equal(found.copy[i], found.values[i].to(at::kBFloat16)));
    for (const std::size_t i : {0, 3})
        CHECK(at::equal(found.average_copy[i], found.moving_average[i].to(at::kBFloat16)));
}

}  // namespace

TEST_CASE("two kernels update all parameters as the rule of the CPU does") {
    for (const auto& [clip, by_all] : {std::pair{0.0, true}, {0.5, true}, {0.5, false}, {1e6, true}})
        for_each_team([&, c = clip, all = by_all](const char* team, const auto& run) {
            INFO(team << ", clip " << c << ", by all " << all);
            Net found, expected;
            const float loss = 1.5F;
            for (int step = 1; step <= 3; ++step) {
                for (auto* net : {&found, &expected})
                    for (auto& gradient : net->gradient) gradient = (gradient * step).sin();
                const auto told = update(found, c, all, &loss, run);
                update_by_rule(expected, c, all);
                CHECK(told.updated == 1);
                CHECK(told.norm == Approx(at::cat(found.gradient).norm().item<double>()).epsilon(1e-5));
            }
            check_same(found, expected);
        });
}

TEST_CASE("a step that is not finite changes nothing, and says so") {
    for (const auto* what : {"loss", "gradient", "frozen gradient"})
        for_each_team([&](const char* team, const auto& run) {
            INFO(what << ", " << team);
            Net net, before;
            const std::string which = what;
            const float loss = which == "loss" ? INFINITY : 0.5F;
            if (which != "loss") net.gradient[which == "gradient" ? 0 : 2][3] = NAN;
            const auto told = update(net, 0.5, false, &loss, run);
            CHECK(told.updated == 0);
            CHECK(std::isfinite(told.norm) == (which == "loss"));
            for (const auto part : {&Net::values, &Net::average, &Net::square, &Net::moving_average, &Net::copy,
                                    &Net::average_copy})
                for (std::size_t i = 0; i < 4; ++i) CHECK(at::equal((net.*part)[i], (before.*part)[i]));
            CHECK(at::equal(net.steps, before.steps));
        });
}
