// Multi-crop (Caron et al. 2020, "SwAV"; as DINO uses it, Caron et al. 2021) cuts a few large crops and many
// small ones from one radiograph, each flipped, jittered, blurred and solarised at random, by common/crops.
#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <hearth/hearth.hpp>
#include <optional>

#include "common/crops/batch.hpp"
#include "common/range.hpp"

namespace {

using namespace hearth;
using namespace hearth::crops;

const std::vector<double> dino_blur{1.0, 0.1}, dino_solarise{0, 0.2};

/// sample: image [C, H, W], [0, 1] ->
///   global [G, C, S, S], or [C, S, S] where one is asked for
///   local [V, C, s, s]
class MultiCrop final : public DeviceAugment {
  public:
    static void schema(Schema& schema) {
        schema.integer("global_crops", 2)
            .range(1, 16)
            .doc("large crops an image; with 1 `global` has no group axis");
        schema.integer("global_size", 224).range(8, 1024).doc("edge of a large crop, in pixels");
        schema.numbers("global_scale", {0.4, 1}).size(2).range(1e-3, 1).doc("range of its area, of the image");
        schema.integer("local_crops", 8).range(0, 64).doc("small crops an image; 0: no `local`");
        schema.integer("local_size", 96).range(8, 1024).doc("edge of a small crop, in pixels");
        schema.numbers("local_scale", {0.05, 0.4})
            .size(2)
            .range(1e-3, 1)
            .doc("range of its area, of the image");
        schema.numbers("ratio", {3.0 / 4, 4.0 / 3})
            .size(2)
            .range(0.1, 10)
            .doc("range of width over height of the part that is cut out");
        schema.number("flip", 0.5)
            .range(0, 1)
            .doc("probability that a crop is mirrored; 0 keeps left and right");
        schema.number("jitter", 0.8).range(0, 1).doc("probability of a change of brightness and contrast");
        schema.number("brightness", 0.4).range(0, 1).doc("largest distance of its factor from 1");
        schema.number("contrast", 0.4).range(0, 1).doc("largest distance of its factor from 1");
        schema.numbers("blur", dino_blur)
            .range(0, 1)
            .doc("probability of Gaussian blur, one for each large crop or one for all");
        schema.number("local_blur", 0.5).range(0, 1).doc("probability of Gaussian blur of a small crop");
        schema.numbers("blur_sigma", {0.1, 2})
            .size(2)
            .range(0, 16)
            .doc("range of its standard deviation, in pixels of the crop");
        schema.numbers("solarise", dino_solarise)
            .range(0, 1)
            .doc("probability that bright pixels of a large crop are inverted; one for each or one for all");
        schema.number("solarise_threshold", 0.5).range(0, 1).doc("lowest value that solarise inverts");
        schema.text("interpolation", "bicubic")
            .choices({"bicubic", "bilinear"})
            .doc("kernel of resampling, always antialiased");
    }
    static Ports reads(const Options&) { return {{"image", "B C H W", "radiograph in [0, 1]"}}; }
    static Ports writes(const Options& options) {
        const auto crops = [](std::int64_t count, std::int64_t size) {
            return Shape{count, "B", "C", size, size};
        };
        const auto count = options.integer("global_crops");
        auto large = crops(count, options.integer("global_size"));
        if (count == 1) large.erase(large.begin());
        Ports ports{{"global", large, "large crops"}};
        if (options.integer("local_crops") > 0)
            ports.emplace_back("local", crops(options.integer("local_crops"), options.integer("local_size")),
                               "small crops");
        return ports;
    }

    MultiCrop(const Options& options, const Symbols&) {
        const Range ratio = ordered(options, "ratio"), sigma = ordered(options, "blur_sigma");
        const Range global_scale = ordered(options, "global_scale"),
                    local_scale = ordered(options, "local_scale");
        global_.size = static_cast<int>(options.integer("global_size"));
        local_.size = static_cast<int>(options.integer("local_size"));
        global_.interpolation = local_.interpolation =
            options.text("interpolation") == "bilinear" ? Interpolation::bilinear : Interpolation::bicubic;
        global_.solarise_threshold = static_cast<float>(options.number("solarise_threshold"));
        const auto locals = static_cast<std::size_t>(options.integer("local_crops"));
        if (locals > 0 && local_.size > global_.size)
            throw RecipeError(
                "local_size: found " + std::to_string(local_.size) + ", larger than global_size " +
                std::to_string(global_.size) +
                "; expected small crops to be the smaller ones: exchange the two, or set local_crops = 0");

        Settings settings{.scale = global_scale, .ratio = ratio, .sigma = sigma};
        settings.flip = options.number("flip");
        settings.jitter = options.number("jitter");
        settings.brightness = options.number("brightness");
        settings.contrast = options.number("contrast");
        globals_.assign(static_cast<std::size_t>(options.integer("global_crops")), settings);
        const auto blur = per_crop(options, "blur", dino_blur);
        const auto solarise = per_crop(options, "solarise", dino_solarise);
        for (std::size_t i = 0; i < globals_.size(); ++i)
            globals_[i].blur = blur[i], globals_[i].solarise = solarise[i];
        settings.scale = local_scale;
        settings.blur = options.number("local_blur");
        locals_.assign(locals, settings);
        large_batches_.emplace(global_, sigma.high);
        if (locals > 0) small_batches_.emplace(local_, sigma.high);
    }

    Tensors sample(const Tensors& views, Random& random) const override {
        const at::Tensor image = views["image"].to(at::kFloat).contiguous();
        const auto channels = image.size(0), height = image.size(1), width = image.size(2);
        thread_local Renderer renderer;
        renderer.load(image.const_data_ptr<float>(), static_cast<int>(channels), static_cast<int>(height),
                      static_cast<int>(width));
        const auto make = [&](const std::vector<Settings>& crops, const Target& target) {
            at::Tensor out = at::empty(
                {static_cast<std::int64_t>(crops.size()), channels, target.size, target.size}, image.options());
            auto* pixels = out.mutable_data_ptr<float>();
            for (const auto& settings : crops) {
                renderer.render(draw_one(random, settings, static_cast<int>(height), static_cast<int>(width)),
                                target, pixels);
                pixels += out.stride(0);
            }
            return out;
        };
        const auto large = make(globals_, global_);
        Tensors out{{"global", globals_.size() == 1 ? large[0] : large}};
        if (!locals_.empty()) out.set("local", make(locals_, local_));
        return out;
    }

    std::vector<std::string> drawn() const override {
        return locals_.empty() ? std::vector<std::string>{"large"} : std::vector<std::string>{"large", "small"};
    }

    Tensors draw(const Tensors& views, Random& random) const override {
        const auto height = static_cast<int>(views["image"].size(1)),
                   width = static_cast<int>(views["image"].size(2));
        const auto describe = [&](const std::vector<Settings>& crops, const BatchRenderer& batches) {
            at::Tensor rows =
                at::empty({static_cast<std::int64_t>(crops.size()), batches.columns()}, at::kFloat);
            auto* row = rows.mutable_data_ptr<float>();
            for (const auto& settings : crops) {
                batches.describe(draw_one(random, settings, height, width), row);
                row += batches.columns();
            }
            return rows;
        };
        Tensors out{{"large", describe(globals_, *large_batches_)}};
        if (!locals_.empty()) out.set("small", describe(locals_, *small_batches_));
        return out;
    }

    Tensors render(const Tensors& batch, const Tensors& drawn) const override {
        const auto large = large_batches_->render(batch["image"], drawn["large"]);
        Tensors out{{"global", globals_.size() == 1 ? large[0] : large}};
        if (!locals_.empty()) out.set("local", small_batches_->render(batch["image"], drawn["small"]));
        return out;
    }

    std::vector<std::pair<std::string, std::int64_t>> counts() const override {
        return {{"centred", centred_.exchange(0)}};
    }

  private:
    static Range ordered(const Options& options, const std::string& name) {
        const auto [low, high] = range::ordered(options.numbers(name), name);
        return {low, high};
    }

    Crop draw_one(Random& random, const Settings& settings, int height, int width) const {
        const auto crop = draw_crop(random, settings, height, width);
        if (crop.box.fallback) ++centred_;
        return crop;
    }

    /// One value for each large crop. A default that was left alone fits any count: its last value goes on.
    static std::vector<double> per_crop(const Options& options, const std::string& name,
                                        const std::vector<double>& fallback) {
        auto list = options.numbers(name);
        const auto crops = static_cast<std::size_t>(options.integer("global_crops"));
        if (list.empty() || (list.size() != 1 && list.size() != crops && list != fallback))
            throw RecipeError(name + ": found " + std::to_string(list.size()) +
                              " entries with global_crops = " + std::to_string(crops) +
                              ", expected one for each large crop, or one for all");
        list.resize(crops, list.back());
        return list;
    }

    Target global_, local_;
    std::vector<Settings> globals_, locals_;
    std::optional<BatchRenderer> large_batches_, small_batches_;
    mutable std::atomic<std::int64_t> centred_ = 0;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "multi-crop",
                          .version = "0.1.0",
                          .summary = "large and small random crops of one image, each in one fused pass",
                          .paper = "Caron et al. 2021, DINO, arXiv 2104.14294"}),
              component<MultiCrop>("writes large crops and small crops, jittered and blurred"))
