// Training steps of an official code, recorded by tools/*_parity.py, taken again by a plan and the trainer's
// step.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>

#include "base/safetensors.hpp"
#include "support/plugins.hpp"
#include "support/temporary_folder.hpp"
#include "train/stepper.hpp"
#include "train/terms.hpp"

namespace hearth::test {

/// What a script in tools/ wrote.
class Recording {
  public:
    explicit Recording(const std::string& name) : file_(read(name)) {}
    /// One that has the backbone and the views of another recording.
    Recording(const std::string& name, const std::string& base) : file_(read(name)) {
        const auto rest = read(base);
        for (const auto& [tensor, value] : rest.tensors)
            if (tensor.starts_with("student.backbone.") || tensor.starts_with("view"))
                file_.tensors.emplace_back(tensor, value);
    }
    at::Tensor operator[](const std::string& name) const {
        const auto found = file_.find(name);
        INFO("no tensor " << name << " in the recording");
        REQUIRE(found.defined());
        return found;
    }
    /// A hyperparameter as text, for the recipe.
    const std::string& setting(const std::string& name) const { return file_.metadata.at(name); }
    /// Pixels of one step's batch: uint8 [batches, ..] -> float in [0, 1].
    at::Tensor pixels(const std::string& name, std::int64_t step) const {
        const auto all = (*this)[name];
        return all[step % all.size(0)].to(at::kFloat).div(255);
    }
    /// Initial weights by their names in a plan.
    std::map<std::string, at::Tensor> weights() const {
        std::map<std::string, at::Tensor> out;
        for (const auto& [name, tensor] : file_.tensors)
            if (name.starts_with("student.")) out.emplace(name, tensor.to(at::kFloat));
        return out;
    }
    std::int64_t steps() const { return (*this)["losses"].size(0); }
    double loss(std::int64_t step) const { return (*this)["losses"][step].item<double>(); }

  private:
    static base::SafeTensors read(const std::string& name) {
        return base::read_safetensors(std::filesystem::path(HEARTH_TEST_SOURCE_DIR) / "tests/parity" / name);
    }
    base::SafeTensors file_;
};

/// The largest relative difference of a loss. With HEARTH_WRITE_PARITY=FILE it is added to that file, as a line
/// RECIPE,STEPS,DIFFERENCE: the figures of docs/methods/README.md.
class Differences {
  public:
    Differences(std::string name, at::Tensor official)
        : name_(std::move(name)), official_(std::move(official)) {}
    Differences(const Differences&) = delete;
    Differences& operator=(const Differences&) = delete;
    ~Differences() {
        const char* file = std::getenv("HEARTH_WRITE_PARITY");
        if (file == nullptr || steps_ == 0) return;
        std::ofstream(file, std::ios::app) << fmt::format("{},{},{:.1e}\n", name_, steps_, largest_);
    }
    /// The losses that are compared with are others than the recording's.
    void against(const at::Tensor& official) { official_ = official; }
    void add(double loss) {
        const auto official = official_[steps_++].item<double>();
        largest_ = std::max(largest_, std::abs(loss - official) / std::abs(official));
    }

  private:
    std::string name_;
    at::Tensor official_;
    std::int64_t steps_ = 0;
    double largest_ = 0;
};

class Replay {
  public:
    Replay(const std::string& recipe_text, const Recording& recording)
        : recipe_(recipe::load(folder_.write("recipe.toml", recipe_text))),
          plan_(plan::Plan::build(recipe_, registry())),
          differences_(recipe_.name, recording["losses"]) {
        progress_.total_steps = recording.steps();
        progress_.steps_per_epoch = recording.steps() / recipe_.train.epochs;
        start_from(recording.weights());
        plan_.train(true);
        recipe_.train.precision = "fp32";
        stepper_ = std::make_unique<train::Stepper>(recipe_, plan_, at::kCPU);
    }

    /// One step; returns its loss.
    double step(Tensors batch) {
        Context context;
        context.progress = progress_;
        if (!batch.has("index")) batch.set("index", at::arange(recipe_.train.batch));
        double loss = 0;
        const auto result = stepper_->step(
            context,
            [&](Tensors& next) {
                next = batch;
                return true;
            },
            [&](const plan::StepOutput& out, std::int64_t, bool) {
                loss = out.total.item<double>();
                terms_ = out.terms;
            });
        CHECK(result.updated);
        ++progress_.step;
        differences_.add(loss);
        return loss;
    }
    Differences& differences() { return differences_; }
    /// A loss's term in the last step.
    double term(const std::string& wanted) const {
        std::vector<std::string> names;
        for (const auto& [name, value] : terms_) names.push_back(name);
        if (const auto at = train::find_term(names, wanted)) return terms_[*at].second.item<double>();
        FAIL("no loss has the term " << wanted);
        return 0;
    }
    at::Tensor state(const std::string& wanted) const {
        for (const auto& [name, tensor] : plan_.state())
            if (name == wanted) return tensor;
        FAIL("the plan has no " << wanted);
        return {};
    }
    const plan::Plan& plan() const { return plan_; }

  private:
    /// Copies recorded weights into the student and into those that follow it. All that is trained must be
    /// there, and all that is there must be wanted.
    void start_from(const std::map<std::string, at::Tensor>& weights) {
        const at::NoGradGuard no_grad;
        std::set<std::string> wanted, used;
        for (const auto& [name, tensor] : plan_.trained_parameters()) wanted.insert(name);
        for (auto& [name, tensor] : plan_.state()) {
            for (const auto& network : plan_.networks()) {
                if (!name.starts_with(network.name + ".")) continue;
                const auto own = (network.follows.empty() ? network.name : network.follows) +
                                 name.substr(network.name.size());
                const auto found = weights.find(own);
                if (found == weights.end()) continue;
                INFO(name);
                REQUIRE(tensor.sizes() == found->second.sizes());
                tensor.copy_(found->second);
                used.insert(own);
            }
        }
        for (const auto& [name, tensor] : weights) {
            INFO(name);
            CHECK(used.count(name) == 1);
            wanted.erase(name);
        }
        CHECK(wanted.empty());
    }

    TemporaryFolder folder_;
    recipe::Recipe recipe_;
    plan::Plan plan_;
    Differences differences_;
    Progress progress_;
    std::vector<std::pair<std::string, at::Tensor>> terms_;
    std::unique_ptr<train::Stepper> stepper_;
};

}  // namespace hearth::test
