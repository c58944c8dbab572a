#include "eval/anomaly/score.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <hearth/mixed_precision.hpp>
#include <hearth/text.hpp>
#include <hearth/tokens.hpp>

#include "train/training_set.hpp"

namespace hearth::eval {
namespace {

using at::Tensor;

/// Runs the passes that one output needs, on images alone.
class Feeder {
  public:
    /// `hidden` is the view that the scorer writes itself, "" for none.
    Feeder(const recipe::ScoreSpec& spec, const recipe::DataSpec& data, const plan::Plan& plan, bool bf16,
           const std::set<std::string>& outputs, const std::string& hidden)
        : plan_(plan), bf16_(bf16), outputs_(outputs), hidden_(hidden) {
        try {
            views_ = plan.needs(outputs);
        } catch (const RecipeError& error) {
            throw RecipeError(
                fmt::format("{}: detect.scores.{}: {}", spec.origin.text(), spec.name, error.what()));
        }
        const Shape film = {"B", Dim(data.channels), Dim(data.size), Dim(data.size)};
        const Shape mask = {"B", Dim(1), Dim(data.size), Dim(data.size)};
        for (const auto& view : views_) {
            const auto shape = plan.shape(view);
            // Masks of lesions look like films of one channel, and the films that are scored have none.
            if (shape != (view == hidden ? mask : film) || (view == "segmentation" && view != hidden))
                throw RecipeError(
                    fmt::format("{}: detect.scores.{}: '{}' needs the view '{}', which is '{}'; expected '{}', "
                                "which an image can "
                                "stand for; choose another output, or point its pass elsewhere",
                                spec.origin.text(), spec.name, join({outputs.begin(), outputs.end()}), view,
                                to_string(shape), to_string(view == hidden ? mask : film)));
        }
        if (!hidden.empty() && views_.count(hidden) == 0)
            throw RecipeError(
                fmt::format("{}: detect.scores.{}.mask: found \"{}\", which '{}' does not depend on; expected "
                            "one of {}, or \"\"",
                            spec.origin.text(), spec.name, hidden, join({outputs.begin(), outputs.end()}),
                            join({views_.begin(), views_.end()})));
    }

    /// `mask` [B, 1, S, S] for the hidden view; undefined where there is none.
    Tensors operator()(const Tensor& images, const Tensor& mask, const Context& context) const {
        Tensors views;
        for (const auto& view : views_) views.set(view, view == hidden_ ? mask : images);
        const MixedPrecision mixed(context.device.type(), bf16_);
        return train::evaluated(plan_, views, outputs_, context);
    }

  private:
    const plan::Plan& plan_;
    bool bf16_;
    std::set<std::string> outputs_, views_;
    std::string hidden_;
};

void expect(const recipe::ScoreSpec& spec, const char* key, const std::string& name, const Shape& found,
            std::size_t axes, const std::string& expected) {
    if (found.size() != axes)
        throw RecipeError(fmt::format("{}: detect.scores.{}.{}: '{}' is '{}', expected '{}'",
                                      spec.origin.text(), spec.name, key, name, to_string(found), expected));
}

/// map [B, 1, h, w] -> [B, S, S], as large as the images.
Tensor enlarged(const Tensor& map, const Tensor& images) {
    return at::upsample_bilinear2d(map, {images.size(2), images.size(3)}, /*align_corners=*/false).squeeze(1);
}

class ErrorScorer : public AnomalyScorer {
  public:
    ErrorScorer(const recipe::ScoreSpec& spec, const recipe::DataSpec& data, const plan::Plan& plan, bool bf16)
        : output_(spec.options.text("output")),
          squared_(spec.options.text("norm") == "squared"),
          feed_(spec, data, plan, bf16, {output_}, spec.options.text("mask")) {
        const Shape film = {"B", Dim(data.channels), Dim(data.size), Dim(data.size)};
        if (plan.shape(output_) != film)
            throw RecipeError(fmt::format("{}: detect.scores.{}.output: '{}' is '{}', expected an image, '{}'",
                                          spec.origin.text(), spec.name, output_,
                                          to_string(plan.shape(output_)), to_string(film)));
        const auto patch = spec.options.integer("patch");
        if (data.size % patch != 0)
            throw RecipeError(
                fmt::format("{}: detect.scores.{}.patch: found {}, expected a divisor of data.size = {}",
                            spec.origin.text(), spec.name, patch, data.size));
        if (!spec.options.text("mask").empty())
            masks_ =
                hiding_masks(data.size, patch * spec.options.integer("window"), spec.options.integer("passes"));
    }

    Scored score(const Tensor& images, const Context& context) override {
        if (!masks_.defined()) return {error(images, feed_(images, {}, context)[output_]).to(at::kCPU), {}};
        masks_ = masks_.to(images.device());
        auto map = at::zeros({images.size(0), images.size(2), images.size(3)}, images.options());
        for (const auto& mask : masks_.unbind(0)) {
            const auto hidden = mask.expand({images.size(0), 1, -1, -1}).contiguous();
            map.add_(error(images, feed_(images, hidden, context)[output_]).mul_(mask));
        }
        return {map.to(at::kCPU), {}};
    }

  private:
    Tensor error(const Tensor& images, const Tensor& output) const {
        const auto difference = images - output.to(at::kFloat);
        return (squared_ ? difference.square() : difference.abs()).mean(1);
    }

    std::string output_;
    bool squared_;
    Feeder feed_;
    Tensor masks_;  ///< [passes, S, S], where the images are
};

class DistanceScorer : public AnomalyScorer {
  public:
    DistanceScorer(const recipe::ScoreSpec& spec, const recipe::DataSpec& data, const plan::Plan& plan,
                   bool bf16)
        : tokens_(spec.options.text("tokens")),
          bank_(spec.options.text("prototypes")),
          temperature_(spec.options.number("temperature")),
          feed_(spec, data, plan, bf16, {tokens_}, "") {
        expect(spec, "tokens", tokens_, plan.shape(tokens_), 3, "B L K");
        if (bank_.empty()) return;
        feed_bank_ = std::make_unique<Feeder>(spec, data, plan, bf16, std::set<std::string>{bank_}, "");
        expect(spec, "prototypes", bank_, plan.shape(bank_), 2, "L K");
    }

    bool learns() const override { return bank_.empty(); }

    void learn(const Tensor& images, const Context& context) override {
        const auto q = distributions(images, context).to(at::kDouble);
        sum_ = sum_.defined() ? sum_ + q.sum(0) : q.sum(0);
        log_prototypes_ = logarithm(sum_ / sum_.sum(-1, true));
    }

    Scored score(const Tensor& images, const Context& context) override {
        // A bank is the same for every batch in evaluation, so the first one asks for it.
        if (!log_prototypes_.defined()) log_prototypes_ = logarithm((*feed_bank_)(images, {}, context)[bank_]);
        const auto q = distributions(images, context);
        const auto entropy = (q * log_prototypes_).sum(-1).neg();  // [B, L]
        const auto side = images.size(2), patch = patch_edge(side, images.size(3), q.size(1));
        return {enlarged(entropy.to(at::kCPU).view({-1, 1, side / patch, images.size(3) / patch}), images), {}};
    }

  private:
    static Tensor logarithm(const Tensor& prototypes) {
        return prototypes.clamp_min(1e-8).log().to(at::kFloat);
    }

    /// [B, L, K]
    Tensor distributions(const Tensor& images, const Context& context) const {
        const auto tokens = feed_(images, {}, context)[tokens_].to(at::kFloat);
        return temperature_ > 0 ? (tokens / temperature_).softmax(-1) : tokens;
    }

    std::string tokens_, bank_;
    double temperature_;
    Feeder feed_;
    std::unique_ptr<Feeder> feed_bank_;
    Tensor sum_, log_prototypes_;  ///< [L, K]
};

/// Values that components wrote, as they are.
class OutputScorer : public AnomalyScorer {
  public:
    OutputScorer(const recipe::ScoreSpec& spec, const recipe::DataSpec& data, const plan::Plan& plan, bool bf16)
        : spec_(spec), feed_(spec, data, plan, bf16, names_of(spec), "") {
        const auto output = spec.options.text("output"), map = spec.options.text("map");
        if (is_map(plan.shape(output)))
            map_ = output;
        else if (plan.shape(output) == Shape{"B"})
            values_ = output;
        else
            refuse("output", output, plan.shape(output), "'B', a value an image, or a map, 'B 1 h w'");
        if (map.empty()) return;
        if (values_.empty())
            throw RecipeError(
                fmt::format("{}: detect.scores.{}.map: found '{}' beside the output '{}', which is "
                            "a map itself; leave one of them out",
                            spec.origin.text(), spec.name, map, output));
        if (!is_map(plan.shape(map))) refuse("map", map, plan.shape(map), "a map, 'B 1 h w'");
        map_ = map;
    }

    bool has_map() const override { return !map_.empty(); }
    bool rates_images() const override { return !values_.empty(); }

    Scored score(const Tensor& images, const Context& context) override {
        const auto made = feed_(images, {}, context);
        Scored out;
        if (has_map()) out.map = enlarged(checked(made, map_, images.size(0)), images);
        if (rates_images()) out.images = checked(made, values_, images.size(0));
        return out;
    }

  private:
    static std::set<std::string> names_of(const recipe::ScoreSpec& spec) {
        std::set<std::string> out = {spec.options.text("output"), spec.options.text("map")};
        out.erase("");
        return out;
    }
    static bool is_map(const Shape& shape) {
        return shape.size() == 4 && shape[0] == Dim("B") && shape[1] == Dim(1);
    }
    [[noreturn]] void refuse(const char* key, const std::string& name, const Shape& found,
                             const char* expected) const {
        throw RecipeError(fmt::format("{}: detect.scores.{}.{}: '{}' is '{}', expected {}", spec_.origin.text(),
                                      spec_.name, key, name, to_string(found), expected));
    }
    Tensor checked(const Tensors& made, const std::string& name, std::int64_t images) const {
        auto values = made[name].to(at::kCPU, at::kFloat);
        if (values.dim() == 0 || values.size(0) != images)
            throw Error(
                ExitCode::internal,
                fmt::format("{}: detect.scores.{}: found {} for {} images in '{}', expected one of each "
                            "image; its component does not write what its port says",
                            spec_.origin.text(), spec_.name,
                            values.dim() == 0 ? "one value" : fmt::format("{} rows", values.size(0)), images,
                            name));
        if (const auto bad = values.numel() - values.isfinite().sum().item<std::int64_t>(); bad > 0)
            throw NumericError(fmt::format(
                "{}: detect.scores.{}: found {} of {} values of '{}' that are not finite; look at what writes "
                "it, and whether the weights are those of a run that went well",
                spec_.origin.text(), spec_.name, bad, values.numel(), name));
        return values;
    }

    recipe::ScoreSpec spec_;
    std::string values_, map_;  ///< "": there are none
    Feeder feed_;
};

}  // namespace

Tensor hiding_masks(std::int64_t side, std::int64_t edge, std::int64_t passes) {
    const auto squares = (side + edge - 1) / edge;
    const auto count = passes > 0 ? passes : squares * squares;
    const auto shift = passes > 0 ? static_cast<std::int64_t>(std::sqrt(static_cast<double>(passes))) : squares;
    const auto index = at::arange(side).floor_divide(edge);
    const auto pass = (index.unsqueeze(1) * shift + index.unsqueeze(0)).remainder(count);  // [side, side]
    return (pass.unsqueeze(0) == at::arange(count).view({-1, 1, 1})).to(at::kFloat);
}

std::unique_ptr<AnomalyScorer> make_scorer(const recipe::ScoreSpec& spec, const recipe::DataSpec& data,
                                           const plan::Plan& plan, bool bf16) {
    if (spec.use == "error") return std::make_unique<ErrorScorer>(spec, data, plan, bf16);
    if (spec.use == "output") return std::make_unique<OutputScorer>(spec, data, plan, bf16);
    return std::make_unique<DistanceScorer>(spec, data, plan, bf16);
}

}  // namespace hearth::eval
