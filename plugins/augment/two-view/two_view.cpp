// Two random views of one radiograph, as contrastive methods compare them: MoCo v2 (Chen et al. 2020,
// https://arxiv.org/abs/2003.04297), SimCLR (Chen et al. 2020, https://arxiv.org/abs/2002.05709), PCL.
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <hearth/hearth.hpp>
#include <optional>

#include "common/crops/batch.hpp"
#include "common/range.hpp"

namespace {

using namespace hearth;
using namespace hearth::crops;

/// sample: image [C, H, W], [0, 1] -> view1 and view2, [C, S, S] each: a random part of the image, resized,
/// mirrored, changed in brightness and contrast, blurred and solarised, each independently of the other.
class TwoView final : public DeviceAugment {
  public:
    static void schema(Schema& schema) {
        schema.integer("size", 224).range(8, 1024).doc("edge of a view, in pixels");
        schema.numbers("scale", {0.2, 1}).size(2).range(1e-3, 1).doc("range of its area, of the image");
        schema.numbers("ratio", {3.0 / 4, 4.0 / 3})
            .size(2)
            .range(0.1, 10)
            .doc("range of width over height of the part that is cut out");
        schema.number("flip", 0.5)
            .range(0, 1)
            .doc("probability that a view is mirrored; 0 keeps left and right");
        schema.number("jitter", 0.8).range(0, 1).doc("probability of a change of brightness and contrast");
        schema.number("brightness", 0.4).range(0, 1).doc("largest distance of its factor from 1");
        schema.number("contrast", 0.4).range(0, 1).doc("largest distance of its factor from 1");
        schema.numbers("blur", {0.5})
            .range(0, 1)
            .doc("probability of Gaussian blur, one for both views or one for each");
        schema.numbers("blur_sigma", {0.1, 2})
            .size(2)
            .range(0, 16)
            .doc("range of its standard deviation, in pixels of the view");
        schema.numbers("solarise", {0})
            .range(0, 1)
            .doc("probability that bright pixels are inverted, one for both views or one for each");
        schema.number("solarise_threshold", 0.5).range(0, 1).doc("lowest value that solarise inverts");
        schema.text("interpolation", "bilinear")
            .choices({"bicubic", "bilinear"})
            .doc("kernel of resampling, always antialiased");
    }
    static Ports reads(const Options&) { return {{"image", "B C H W", "radiograph in [0, 1]"}}; }
    static Ports writes(const Options& options) {
        const auto size = options.integer("size");
        const Shape view{"B", "C", size, size};
        return {{"view1", view, "one random view"}, {"view2", view, "another"}};
    }

    TwoView(const Options& options, const Symbols&) {
        target_.size = static_cast<int>(options.integer("size"));
        target_.interpolation =
            options.text("interpolation") == "bilinear" ? Interpolation::bilinear : Interpolation::bicubic;
        target_.solarise_threshold = static_cast<float>(options.number("solarise_threshold"));
        Settings settings{.scale = ordered(options, "scale"),
                          .ratio = ordered(options, "ratio"),
                          .sigma = ordered(options, "blur_sigma")};
        settings.flip = options.number("flip");
        settings.jitter = options.number("jitter");
        settings.brightness = options.number("brightness");
        settings.contrast = options.number("contrast");
        const auto blur = each_view(options, "blur"), solarise = each_view(options, "solarise");
        for (std::size_t i = 0; i < views_.size(); ++i) {
            views_[i] = settings;
            views_[i].blur = blur[i];
            views_[i].solarise = solarise[i];
        }
        batches_.emplace(target_, settings.sigma.high);
    }

    Tensors sample(const Tensors& views, Random& random) const override {
        const at::Tensor image = views["image"].to(at::kFloat).contiguous();
        const auto channels = image.size(0), height = image.size(1), width = image.size(2);
        thread_local Renderer renderer;
        renderer.load(image.const_data_ptr<float>(), static_cast<int>(channels), static_cast<int>(height),
                      static_cast<int>(width));
        const auto make = [&](const Settings& settings) {
            at::Tensor out = at::empty({channels, target_.size, target_.size}, image.options());
            const auto crop = draw_one(random, settings, static_cast<int>(height), static_cast<int>(width));
            renderer.render(crop, target_, out.mutable_data_ptr<float>());
            return out;
        };
        const auto first = make(views_[0]), second = make(views_[1]);
        return {{"view1", first}, {"view2", second}};
    }

    std::vector<std::string> drawn() const override { return {"both"}; }

    Tensors draw(const Tensors& views, Random& random) const override {
        const auto height = static_cast<int>(views["image"].size(1)),
                   width = static_cast<int>(views["image"].size(2));
        at::Tensor rows = at::empty({2, batches_->columns()}, at::kFloat);
        auto* row = rows.mutable_data_ptr<float>();
        for (const auto& settings : views_) {
            batches_->describe(draw_one(random, settings, height, width), row);
            row += batches_->columns();
        }
        return {{"both", rows}};
    }

    Tensors render(const Tensors& batch, const Tensors& drawn) const override {
        const auto both = batches_->render(batch["image"], drawn["both"]);
        return {{"view1", both[0]}, {"view2", both[1]}};
    }

    std::vector<std::pair<std::string, std::int64_t>> counts() const override {
        return {{"centred", centred_.exchange(0)}};
    }

  private:
    static crops::Range ordered(const Options& options, const std::string& name) {
        const auto [low, high] = range::ordered(options.numbers(name), name);
        return {low, high};
    }

    /// One value for each view.
    static std::array<double, 2> each_view(const Options& options, const std::string& name) {
        const auto& list = options.numbers(name);
        if (list.empty() || list.size() > 2)
            throw RecipeError(name + ": found " + std::to_string(list.size()) +
                              " entries, expected one for both views, or one for each of the two");
        return {list.front(), list.back()};
    }

    Crop draw_one(Random& random, const Settings& settings, int height, int width) const {
        const auto crop = draw_crop(random, settings, height, width);
        if (crop.box.fallback) ++centred_;
        return crop;
    }

    Target target_;
    std::array<Settings, 2> views_;
    std::optional<BatchRenderer> batches_;
    mutable std::atomic<std::int64_t> centred_ = 0;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "two-view",
                          .version = "0.1.0",
                          .summary = "two random views of one image, as contrastive methods compare them",
                          .paper = "Chen et al. 2020, MoCo v2, arXiv 2003.04297"}),
              component<TwoView>("writes two random crops, mirrored, jittered and blurred"))
