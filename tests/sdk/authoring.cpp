// The components that docs/ quotes (scripts/snippets.py compares), and the helpers of hearth/testing.hpp, tried on
// them.
#include <catch2/catch.hpp>
#include <cmath>
#include <hearth/testing.hpp>

namespace quoted {

using namespace hearth;

class Gain : public Head {
  public:
    static void schema(Schema& schema) {  // what a recipe may say
        schema.number("factor", 2.0).range(0.1, 10).schedulable().doc("what tokens are multiplied by");
    }
    static Ports reads(const Options&) { return {Port("tokens", "B L D", "patch tokens")}; }
    static Ports writes(const Options&) { return {Port("louder", "B L D", "multiplied tokens")}; }

    Gain(const Options& options, const Symbols&) : factor_(options.schedule("factor")) {}

    Tensors forward(const Tensors& in, const Context& context) override {
        return {{"louder", in["tokens"] * context.value(factor_)}};
    }

  private:
    Schedule factor_;
};

class GammaJitter : public Augment {
  public:
    static void schema(Schema& schema) { schema.number("range", 1.4).range(1, 10).doc("largest exponent"); }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "radiograph in [0, 1]")}; }
    static Ports writes(const Options&) { return {Port("jittered", "B C H W", "the image to a random power")}; }

    GammaJitter(const Options& options, const Symbols&) : range_(options.number("range")) {}

    Tensors sample(const Tensors& views, Random& random) const override {
        return {{"jittered", views["image"].pow(random.uniform(1 / range_, range_))}};
    }

  private:
    double range_;
};

/// Squared distance from the mean of the last keys: a value for each image, and state that is learnt besides
/// gradients.
class FarFromKeys : public Loss {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) {
        return {Port("key", "B D", "a vector an image").detached(), Port("query", "B D", "another")};
    }
    static Ports writes(const Options&, const Symbols&) {
        return {Port("per_sample", "B", "squared distance of an image")};
    }

    FarFromKeys(const Options&, const Symbols& symbols)
        : mean_(register_buffer("mean", at::zeros({symbols.value("D")}))) {}

    LossOutput forward(const Tensors& in, const Context& context) override {
        if (context.learns) keys_.push_back(in["key"]);  // several times with train.accumulate
        const FullPrecision exact;
        const auto each = (at_least_float(in["query"]) - mean_).square().sum(1);
        return {.total = each.mean(), .per_sample = each};
    }
    void before_step(const Context&) override { keys_.clear(); }  // after_step may not come
    void after_step(const Context& context) override {
        if (!context.learns || keys_.empty()) return;
        const at::NoGradGuard no_grad;
        auto sum = at::cat(keys_).sum(0), count = at::full({1}, static_cast<double>(at::cat(keys_).size(0)));
        context.comm->all_reduce_sum(sum);  // the same on all processes, since they make the same calls
        context.comm->all_reduce_sum(count);
        mean_.lerp_((sum / count).to(mean_.scalar_type()), 0.1);
    }

  private:
    at::Tensor mean_;
    std::vector<at::Tensor> keys_;
};

/// Subtracts the mean that the training set's features have once training is over.
class Centred : public Head {
  public:
    static void schema(Schema&) {}
    static Ports reads(const Options&) { return {Port("features", "B D", "a vector an image")}; }
    static Ports writes(const Options&) { return {Port("centred", "B D", "the same without their mean")}; }
    Centred(const Options&, const Symbols&) : mean_(register_buffer("mean", at::empty({0}))) {}

    Fit fits() const override { return Fit::after; }  // or Fit::before
    void fit(const Context& context) override {
        at::Tensor sum;
        std::int64_t count = 0;
        context.set->each([&](const Tensors& in, const at::Tensor& index) {
            const auto part = in["features"].to(at::kDouble).sum(0);
            sum = sum.defined() ? sum + part : part;
            count += index.size(0);
        });
        mean_.resize_(sum.sizes()).copy_(sum / count);
    }
    Tensors forward(const Tensors& in, const Context&) override {
        return {{"centred", mean_.numel() == 0 ? in["features"] : in["features"] - mean_}};
    }

  private:
    at::Tensor mean_;
};

/// Normal noise for each image, which the seed, the update and the image alone decide.
class Noise : public Head {
  public:
    static void schema(Schema& schema) { schema.integer("out", 128).range(1, 65536).doc("numbers an image"); }
    static Ports reads(const Options&) { return {Port("index", "B", "which image it is").of("int64")}; }
    static Ports writes(const Options& options) {
        return {Port("noise", Shape{"B", options.integer("out")}, "mean 0, deviation 1")};
    }
    Noise(const Options& options, const Symbols&) : out_(options.integer("out")) {}
    Tensors forward(const Tensors& in, const Context& context) override {
        return {{"noise", context.normal(in["index"], {out_})}};
    }

  private:
    std::int64_t out_;
};

/// Cuts maps in squares of `patch` pixels: a size that is computed, and one that must divide.
class Halved : public Head {
  public:
    static void schema(Schema& schema) {
        schema.integer("patch", 2).range(1, 64).doc("pixels that become one");
    }
    static Ports reads(const Options&) { return {Port("map", "B C H W", "maps of a backbone")}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const Dim patch = options.integer("patch");
        return {Port("smaller", Shape{"B", symbols["C"], symbols["H"] / patch, symbols["W"] / patch},
                     "their means")};
    }
    Halved(const Options& options, const Symbols& symbols) : patch_(options.integer("patch")) {
        for (const auto* edge : {"H", "W"})
            if (symbols[edge].known() && symbols.value(edge) % patch_ != 0)
                throw RecipeError("halved: found " + std::string(edge) + " = " + symbols[edge].text() +
                                  ", expected a multiple of patch = " + std::to_string(patch_));
    }
    Tensors forward(const Tensors& in, const Context&) override {
        return {{"smaller", at::avg_pool2d(in["map"], patch_)}};
    }

  private:
    std::int64_t patch_;
};

}  // namespace quoted

HEARTH_PLUGIN((hearth::PluginInfo{.id = "gain", .version = "0.1.0", .summary = "Multiplies tokens"}),
              hearth::component<quoted::Gain>("gain", "multiplies tokens by a number"),
              hearth::component<quoted::GammaJitter>("gamma-jitter", "a random power"),
              hearth::component<quoted::FarFromKeys>("far-from-keys", "distance from the mean key"),
              hearth::component<quoted::Centred>("centred", "without the mean"),
              hearth::component<quoted::Noise>("noise", "normal noise"),
              hearth::component<quoted::Halved>("halved", "maps of half the size"))

using namespace hearth;
using Catch::Matchers::Contains;
namespace kit = hearth::testing;

namespace {

/// As testing::Plugin::make(), without a library in between.
template <class T>
kit::Made<T> made(std::size_t at, const std::vector<std::string>& words = {}, const kit::Sizes& sizes = {}) {
    const auto& entry = hearth_plugin()->components[at];
    Schema schema;
    entry.schema(schema);
    return kit::Made<T>(entry, kit::options_of(schema, words), sizes);
}

const kit::Sizes sizes = {{"B", 3}, {"L", 2}, {"D", 4}, {"C", 1}, {"H", 8}, {"W", 6}};

/// The message of a failure; "" where there is none.
template <class Call>
std::string failure(Call&& call) {
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

/// A training set of two batches.
struct TwoBatches : TrainingSet {
    std::int64_t size() const override { return 3; }
    void each(const Use& use) const override {
        use({{"features", at::tensor({1.0, 2.0, 3.0, 4.0}).view({2, 2})}}, at::tensor({0, 1}, at::kLong));
        use({{"features", at::tensor({5.0, 9.0}).view({1, 2})}}, at::tensor({2}, at::kLong));
    }
};

}  // namespace

TEST_CASE("a component is made from words and given random inputs of its shapes") {
    const auto gain = made<Head>(0, {"factor=3"}, sizes);
    const auto in = gain.inputs();
    CHECK(in["tokens"].sizes() == at::IntArrayRef({3, 2, 4}));
    CHECK(at::equal(in["tokens"], gain.inputs()["tokens"]));
    CHECK_FALSE(at::equal(in["tokens"], gain.inputs(/*seed=*/2)["tokens"]));
    const auto out = gain->forward(in, Context{});
    gain.expect_declared(out);
    kit::expect_close(out["louder"], 3 * in["tokens"]);
    CHECK(kit::gradient_error(gain, in, "tokens") < 1e-8);
}

TEST_CASE("what a component did not declare is a failure with its name") {
    const auto gain = made<Head>(0, {}, sizes);
    const auto tokens = gain.inputs()["tokens"];
    CHECK_THAT(failure([&] {
                   gain.expect_declared(Tensors{{"other", tokens}});
               }),
               Contains("a tensor 'louder'"));
    CHECK_THAT(failure([&] {
                   gain.expect_declared(Tensors{{"louder", tokens}, {"more", tokens}});
               }),
               Contains("'more' is not"));
    CHECK_THAT(failure([&] {
                   gain.expect_declared(Tensors{{"louder", tokens.sum(1)}});
               }),
               Contains("'louder' [B 2 4] float, found [3, 4] Float"));
    CHECK_THAT(failure([&] {
                   gain.expect_declared(Tensors{{"louder", tokens.to(at::kLong)}});
               }),
               Contains("Long"));
    CHECK_THAT(failure([&] { made<Head>(0).inputs(); }),
               Contains("a size for each symbol of 'tokens' [B L D]"));
}

TEST_CASE("words of options are refused as a recipe would refuse them") {
    Schema schema;
    schema.number("factor", 1).range(0, 2);
    schema.integer("depth", 1).or_word("all", -1).range(0, 9);
    schema.boolean("bias", true);
    schema.texts("parts", {});
    schema.numbers("mean", {0.5});
    schema.text("file", "").required();
    const auto options = kit::options_of(
        schema, {"factor=0.25", "depth=all", "bias=false", "parts=[\"a\", b]", "mean=[1, 2]", "file=x.csv"});
    CHECK(options.number("factor") == 0.25);
    CHECK(options.integer("depth") == -1);
    CHECK_FALSE(options.boolean("bias"));
    CHECK(options.texts("parts") == std::vector<std::string>{"a", "b"});
    CHECK(options.numbers("mean") == std::vector<double>{1, 2});
    const auto refusal = [&](const std::string& word) {
        return failure([&] { kit::options_of(schema, {"file=x", word}); });
    };
    CHECK_THAT(refusal("factor=3"), Contains("factor: found 3, expected between 0 and 2"));
    CHECK_THAT(refusal("factor=high"), Contains("found 'high', expected a number"));
    CHECK_THAT(refusal("bias=1"), Contains("expected true or false"));
    CHECK_THAT(refusal("facto=1"), Contains("did you mean 'factor'?"));
    CHECK_THAT(failure([&] { kit::options_of(schema); }), Contains("file: missing"));
}

TEST_CASE("expectations name what was found") {
    kit::expect(true, "nothing");
    CHECK(failure([] { kit::expect(false, "two of them"); }) == "expected: two of them");
    CHECK_THAT(failure([] { kit::expect_close(at::zeros({2}), at::zeros({3})); }),
               Contains("found shape [2], expected [3]"));
    CHECK_THAT(failure([] {
                   kit::expect_close(at::tensor({0.0, 1.0}), at::tensor({0.0, 3.0}));
               }),
               Contains("found 1, expected 3 at flat index 1"));
    CHECK(failure([] { kit::expect_close(at::full({1}, NAN), at::zeros({1})); }) != "");
    CHECK_THAT(failure([] { kit::expect_refusal([] {}, "no"); }), Contains("found no exception"));
    CHECK(kit::run_all({{"holds", [] {}}, {"does not", [] { kit::expect(false, "it"); }}}) == 1);
}

TEST_CASE("an augment repeats itself, and one that does not is found") {
    const auto jitter = made<Augment>(1, {}, sizes);
    kit::expect_repeatable(jitter);
    jitter.expect_declared(
        [&] {
            Random random(RandomKey{});
            return jitter->sample(jitter.views(), random);
        }(),
        /*sample=*/true);
    CHECK(jitter.views()["image"].sizes() == at::IntArrayRef({1, 8, 6}));
    CHECK_THAT(failure([] { kit::expect_repeatable(made<Augment>(1, {"range=1"}, sizes)); }),
               Contains("another view"));
}

TEST_CASE("a loss tells a value an image, and moves its mean where it learns") {
    auto loss = made<Loss>(2, {}, sizes);
    const auto in = loss.inputs();
    Context context;
    loss->before_step(context);
    const auto out = loss->forward(in, context);
    loss.expect_declared(out);
    kit::expect_close(out.per_sample, in["query"].square().sum(1));
    loss->after_step(context);
    kit::expect_close(loss->named_buffers()["mean"], 0.1 * in["key"].mean(0));
    context.learns = false;
    loss->before_step(context);
    loss->forward(in, context);
    loss->after_step(context);
    kit::expect_close(loss->named_buffers()["mean"], 0.1 * in["key"].mean(0));
    CHECK_THAT(failure([&] { loss.expect_declared(LossOutput{.total = at::zeros({2})}); }),
               Contains("a scalar"));
    CHECK_THAT(failure([&] { loss.expect_declared(LossOutput{.total = at::full({}, NAN)}); }),
               Contains("finite"));
}

TEST_CASE("a head takes in the training set, and noise depends on the image alone") {
    const auto head = made<Head>(3, {}, {{"B", 1}, {"D", 2}});
    Context context;
    const TwoBatches set;
    context.set = &set;
    head->fit(context);
    const auto centred = head->forward({{"features", at::tensor({3.0, 5.0}).view({1, 2})}}, context)["centred"];
    kit::expect_close(centred, at::zeros({1, 2}));
    const auto noise = made<Head>(4, {"out=5"}, {{"B", 2}});
    const auto both = noise->forward({{"index", at::tensor({7, 8}, at::kLong)}}, context)["noise"];
    const auto one = noise->forward({{"index", at::tensor({8}, at::kLong)}}, context)["noise"];
    kit::expect_close(one[0], both[1], 0);
}

TEST_CASE("sizes that are computed are divided without a remainder, or refused") {
    const auto halved = made<Head>(5, {}, sizes);
    halved.expect_declared(halved->forward(halved.inputs(), Context{}));
    CHECK(to_string(halved.writes.at(0).shape) == "B 1 4 3");
    CHECK((Dim(7) / Dim(2)).value() == 3);
    CHECK((Dim("H") / Dim(2)).text() == "H/2");
    kit::expect_refusal([] { made<Head>(5, {"patch=4"}, sizes); },
                        "found W = 6, expected a multiple of patch = 4");
}
