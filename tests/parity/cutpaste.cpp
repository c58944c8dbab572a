// Twenty training steps of CutPaste's three-way task, and the density after them, against the official code of
// AnatPaste, which has the same network, loss and density (tools/cutpaste_parity.py). CutPaste has none.
#include <cmath>
#include <sstream>

#include "replay.hpp"

namespace parity_cutpaste {

using namespace hearth;
using namespace hearth::test;

namespace {

/// Versions are recorded, so the augment of this recipe only declares their shapes.
std::string recipe_text(const Recording& official) {
    const auto set = [&](const char* name) { return official.setting(name); };
    return fmt::format(R"(schema = 1
name = "cutpaste-parity"
[data]
source = "phantom"
size = 48
channels = 3
[[augment]]
use = "cutpaste"
[networks.student]
backbone = {{ use = "resnet", depth = 18, mean = [0.5], std = [0.5] }}
[networks.student.heads]
classify = {{ use = "mlp-classifier", out = 3, hidden = [{hidden}, {embedding}] }}
[[pass]]
network = "student"
view = "versions"
[[loss]]
use = "cross-entropy"
reads = {{ label = "version" }}
[train]
epochs = 5
batch = 8
[optimizer]
use = "sgd"
lr = {{ shape = "cosine", from = {lr}, to = 0.0, per = "epoch" }}
lr_batch = 0
momentum = {momentum}
weight_decay = {decay}
clip = 0.0
)",
                       fmt::arg("hidden", set("hidden")), fmt::arg("embedding", set("embedding")),
                       fmt::arg("lr", set("lr")), fmt::arg("momentum", set("momentum")),
                       fmt::arg("decay", set("weight_decay")));
}

/// Numbers in [-1, 1): a hash of (tensor, place), as noise() in tools/cutpaste_parity.py.
at::Tensor noise(std::uint64_t tensor, at::IntArrayRef shape) {
    auto out = at::empty(shape, at::kDouble);
    auto* value = out.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < out.numel(); ++i) {
        auto x = (static_cast<std::uint64_t>(i) + tensor * 0x9E3779B1U) & 0xFFFFFFFFU;
        for (int round = 0; round < 2; ++round) x = ((x ^ (x >> 16U)) * 0x45D9F3BU) & 0xFFFFFFFFU;
        value[i] = static_cast<double>(x ^ (x >> 16U)) / 2147483648.0 - 1;
    }
    return out;
}

/// The initial weights of fill() in tools/cutpaste_parity.py, by their names in a plan.
std::vector<std::pair<std::string, at::Tensor>> weights(const Recording& official,
                                                        const TemporaryFolder& folder) {
    const auto plan =
        plan::Plan::build(recipe::load(folder.write("shapes.toml", recipe_text(official))), registry());
    std::map<std::string, at::Tensor> shapes;
    for (const auto& [name, parameter] : plan.trained_parameters()) shapes.emplace(name, parameter);
    std::vector<std::pair<std::string, at::Tensor>> out;
    std::istringstream names(official.setting("weights"));
    std::string name;
    while (names >> name) {
        INFO(name);
        REQUIRE(shapes.count(name) == 1);
        const auto sizes = shapes.at(name).sizes();
        auto u = noise(out.size(), sizes);
        const auto fan = static_cast<double>(u[0].numel());
        if (u.dim() == 4)
            u *= std::sqrt(6 / fan);
        else if (u.dim() == 2)
            u /= std::sqrt(fan);
        else
            u = u / 4 + (name.ends_with("weight") ? 1 : 0);
        out.emplace_back(name, u.to(at::kFloat));
    }
    return out;
}

/// Features of a training set in one batch.
class Features : public TrainingSet {
  public:
    explicit Features(at::Tensor all) : all_(std::move(all)) {}
    std::int64_t size() const override { return all_.size(0); }
    void each(const Use& use) const override { use({{"features", all_}}, at::arange(size(), at::kLong)); }

  private:
    at::Tensor all_;
};

}  // namespace

TEST_CASE("20 steps of CutPaste's classifier have the losses of the official code of AnatPaste") {
    const Recording official("cutpaste.safetensors");
    // Ten million weights are a hash of their place, so the recording holds none: they join it here.
    const TemporaryFolder folder;
    auto tensors = weights(official, folder);
    for (const char* name : {"versions", "losses"}) tensors.emplace_back(name, official[name]);
    const auto file = folder.path() / "with-weights.safetensors";
    base::write_safetensors(file, tensors, {});
    Replay ours(recipe_text(official), Recording(file.string()));

    double carried = 0;  // by rounding alone: the official code's fp32 against its double
    for (std::int64_t step = 0; step < official.steps(); ++step) {
        INFO("step " << step);
        const auto versions = official.pixels("versions", step).unsqueeze(2).expand({3, 8, 3, 48, 48});
        const auto version = at::arange(3, at::kLong).unsqueeze(1).expand({3, 8});
        const auto loss = ours.step({{"versions", versions.contiguous()}, {"version", version.contiguous()}});
        const double exact = official["exact"][step].item<double>();
        carried = std::max(carried, std::abs(official.loss(step) / exact - 1));
        CHECK(loss == Approx(exact).epsilon(1e-4 + 4 * carried));
    }
    CHECK(carried < 1e-3);
}

TEST_CASE("the density gives the distances of the official code of AnatPaste, and of scikit-learn") {
    const Recording official("cutpaste.safetensors");
    const auto fitted = std::stoll(official.setting("fitted"));
    const auto all = official["embeddings"];
    const Features set(all.slice(0, 0, fitted));
    const auto head = test::make<Head>("gaussian-density");
    Context context;
    context.set = &set;
    head->fit(context);
    CHECK(head->named_buffers()["shrinkage"].item<double>() ==
          Approx(std::stod(official.setting("shrinkage"))).epsilon(1e-9));
    const auto score = head->forward({{"features", all.slice(0, fitted)}}, context)["score"];
    CHECK(at::allclose(score.to(at::kDouble), official["precise"], 1e-6, 0));  // the score is fp32
    CHECK(at::allclose(score, official["distances"], 1e-5, 0));
}

}  // namespace parity_cutpaste
