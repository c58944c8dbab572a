// The attentive probe: it finds what a mean of tokens dilutes, finds nothing in noise, and says the same every
// time.
#include "eval/probe/attentive.hpp"

#include <ATen/ATen.h>

#include "eval/findings.hpp"
#include "eval/metrics/metrics.hpp"
#include "eval/probe/multilabel.hpp"
#include "eval/probe/tokens.hpp"

namespace eval_attentive {

using namespace hearth;
using namespace hearth::eval;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

constexpr Task binary = {.classes = 2, .several = false};

/// Noise, but one token of each image, anywhere, is marked in channel 0 and has `size` times +1 or -1 in
/// channel 1: the class.
FeatureSet planted(std::int64_t images, double size) {
    constexpr std::int64_t tokens = 64, width = 16;
    FeatureSet set;
    set.x = at::randn({images, tokens, width});
    const auto where = at::randint(tokens, {images});
    for (std::int64_t i = 0; i < images; ++i) {
        const int label = static_cast<int>(i % 2);
        const auto token = set.x[i][where[i].item<std::int64_t>()];
        if (size > 0) token[0] = 8;
        token[1] += size * (2 * label - 1);
        set.labels.push_back(label);
        set.patients.push_back(static_cast<int>(i / 2));
    }
    return set;
}

double auc_of(const Answers& answers, const FeatureSet& test) {
    return selection_auc(answers.probabilities, binary, test.labels);
}

}  // namespace

TEST_CASE("an attentive probe finds in one token what the mean of all dilutes") {
    at::manual_seed(1);
    const auto train = planted(400, 3), test = planted(200, 3);
    const auto attentive = auc_of(attentive_answers(train, test, binary, {}), test);
    auto mean_train = train, mean_test = test;
    mean_train.x = train.x.mean(1);
    mean_test.x = test.x.mean(1);
    const auto linear = auc_of(linear_answers(mean_train, mean_test, binary, 0), test);
    INFO("attentive " << attentive << ", linear on the mean " << linear);
    CHECK(attentive > 0.95);
    CHECK(linear < 0.8);
}

TEST_CASE("an attentive probe finds nothing in noise") {
    at::manual_seed(2);
    const auto train = planted(200, 0), test = planted(400, 0);
    CHECK(auc_of(attentive_answers(train, test, binary, {}), test) == Approx(0.5).margin(0.1));
}

TEST_CASE("an attentive probe says the same every time, and draws nothing from the global generator") {
    at::manual_seed(3);
    const auto train = planted(60, 2), test = planted(20, 2);
    const AttentiveOptions options{.least_steps = 40, .seed = 5};
    const auto first = attentive_answers(train, test, binary, options);
    at::manual_seed(99);
    const auto before = at::rand({1});
    at::manual_seed(99);
    const auto second = attentive_answers(train, test, binary, options);
    CHECK(at::equal(at::rand({1}), before));
    CHECK(at::equal(first.probabilities, second.probabilities));
    CHECK(first.thresholds == second.thresholds);
    CHECK(first.learning_rate == second.learning_rate);
    CHECK(first.weight_decay == second.weight_decay);
}

TEST_CASE("settings that are tried side by side do not touch each other") {
    at::manual_seed(4);
    const auto train = planted(60, 2), test = planted(20, 2);
    AttentiveOptions options{.learning_rates = {1e-3}, .weight_decays = {0.1}, .least_steps = 40};
    const auto alone = attentive_answers(train, test, binary, options);
    options.learning_rates = {1e-3, 1e-12};  // the second learns nothing
    const auto beside = attentive_answers(train, test, binary, options);
    CHECK(beside.learning_rate == 1e-3);
    CHECK(at::allclose(alone.probabilities, beside.probabilities));
    CHECK(at::allclose(at::tensor(alone.thresholds), at::tensor(beside.thresholds), 1e-4, 1e-5));
}

TEST_CASE("unit and offset of a channel do not matter to an attentive probe") {
    at::manual_seed(5);
    const auto train = planted(60, 2), test = planted(20, 2);
    auto train2 = train, test2 = test;
    train2.x = train.x * 4 + 2;
    test2.x = test.x * 4 + 2;
    const AttentiveOptions options{.least_steps = 40};
    CHECK(at::allclose(attentive_answers(train, test, binary, options).probabilities,
                       attentive_answers(train2, test2, binary, options).probabilities, 1e-2, 1e-3));
}

TEST_CASE("an attentive probe of more classes gives a distribution over them") {
    at::manual_seed(6);
    auto train = planted(90, 0), test = planted(60, 0);
    for (auto* set : {&train, &test})
        for (std::size_t i = 0; i < set->labels.size(); ++i) {
            set->labels[i] = static_cast<int>(i % 3);
            set->x[static_cast<std::int64_t>(i)].select(1, set->labels[i]) += 1;
        }
    const auto answers = attentive_answers(train, test, {.classes = 3}, {.least_steps = 100});
    CHECK(answers.thresholds.empty());
    CHECK(at::allclose(answers.probabilities.sum(1), at::ones({60}, at::kDouble)));
    CHECK(macro_auc(numbers_of(answers.probabilities), 3, test.labels) > 0.9);
}

TEST_CASE("an attentive probe of several labels learns each from the images where it is known") {
    at::manual_seed(7);
    const Task two = {.classes = 2, .several = true};
    const auto made = [&](std::int64_t images, bool gaps) {
        auto set = planted(images, 0);
        set.labels.clear();
        for (std::int64_t i = 0; i < images; ++i) {
            const int a = static_cast<int>(i % 2), b = static_cast<int>(i / 2 % 2);
            set.x[i].select(1, 0) += a;
            set.x[i].select(1, 1) += b;
            set.labels.push_back(a);
            set.labels.push_back(gaps && i % 3 == 0 ? -1 : b);
        }
        return set;
    };
    const auto train = made(120, true), test = made(80, false);
    const auto answers = attentive_answers(train, test, two, {.least_steps = 100});
    CHECK(answers.probabilities.sizes() == at::IntArrayRef({80, 2}));
    CHECK(answers.thresholds.size() == 2);
    for (const double auc : label_auc(numbers_of(answers.probabilities), 2, test.labels)) CHECK(auc > 0.9);
}

TEST_CASE("heads have 64 channels or a little more, and divide the width") {
    CHECK(attention_heads(16) == 1);
    CHECK(attention_heads(192) == 3);
    CHECK(attention_heads(384) == 6);
    CHECK(attention_heads(768) == 12);
    CHECK(attention_heads(200) == 2);  // 3 does not divide it
}

TEST_CASE("tokens that do not fit into memory are refused with the numbers") {
    recipe::LabelledSpec spec;
    spec.origin = {"a.toml", 9, 1};
    spec.written["probe"] = {"a.toml", 11, 1};
    spec.limit = 500;
    CHECK_NOTHROW(check_token_memory(spec, 1000, 196, 192, 1000 * 196 * 192 * 4));
    CHECK_THROWS_WITH(
        check_token_memory(spec, 1000, 196, 192, 1 << 27),
        Contains("a.toml:11:1: probe = \"attentive\"") &&
            Contains("1000 images x 196 tokens x 192 numbers = 143.6 MiB, expected at most 128.0 MiB") &&
            Contains("set limit (it is 500"));
}

TEST_CASE("the tokens of all labelled images are kept as the backbone made them") {
    const Findings films;
    const auto plan = films.built();
    const auto test = open_splits(films.recipe, *films.recipe.eval).second;
    const auto rows = extract_tokens(test, films.recipe.data, 0, backbone_tokens(plan, "student", {}));
    REQUIRE(rows.x.sizes() == at::IntArrayRef({30, 4, 48}));
    CHECK(rows.labels.size() == 60);
    const auto means = extract(test, films.recipe.data, 0, backbone_features(plan, "student", "mean", {}));
    CHECK(at::allclose(rows.x.mean(1), means.x, 1e-5, 1e-6));
    CHECK(rows.labels == means.labels);
    CHECK(extract_tokens(test, films.recipe.data, 7, backbone_tokens(plan, "student", {})).x.size(0) == 7);
}

TEST_CASE("the floor of an attentive probe has the pixels of each patch, in the place of its token") {
    const auto images = at::zeros({2, 1, 16, 16});
    images[1].slice(2, 8, 16).slice(1, 0, 8) = 1;  // the second of four patches
    const auto tokens = pixel_tokens(4, 6, 3)(images);
    CHECK(tokens.sizes() == at::IntArrayRef({2, 4, 6}));
    CHECK(tokens[0].abs().max().item<double>() == 0);
    for (int token = 0; token < 4; ++token)
        CHECK((tokens[1][token].abs().max().item<double>() > 0) == (token == 1));
}

}  // namespace eval_attentive
