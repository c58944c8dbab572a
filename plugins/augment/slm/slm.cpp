// Synthetic lesion masks (Liu et al. 2025, "AFiRe", AAAI, eq. 2-5): one to four soft ovals, filled with texture
// from bright parts of the same image, are added at random places. Writes the image, the altered image and what
// was added.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <hearth/hearth.hpp>
#include <tuple>

#include "batch.hpp"
#include "common/range.hpp"

namespace {

using namespace hearth;

/// sample: image [C, H, W], [0, 1] -> normal (the same tensor), abnormal [C, H, W], mask M [1, H, W], with
///   abnormal = max(x, min(x + strength * M, clip)),   M = sum over the regions of eta * exp(-rho^2 / gamma).
/// M is 0 exactly where nothing changed: also where the image is above `clip` already.
class Slm final : public DeviceAugment {
  public:
    static void schema(Schema& schema) {
        schema.integers("regions", {1, 4}).size(2).range(1, 64).doc("fewest and most regions R per image");
        schema.numbers("size", {16, 64})
            .size(2)
            .range(2, 224)
            .doc("smallest and largest edges W, H of a region, in pixels where the shorter image edge is 224");
        schema.numbers("gamma", {0.15, 0.33})
            .size(2)
            .range(0.01, 1e5)
            .doc("range of gamma in exp(-rho^2/gamma); below 0.33 the border of a region gets less than 5 %");
        schema.text("rho", "normalised")
            .choices({"normalised", "pixels"})
            .doc(
                "unit of rho: 1 at the border of a region, or pixels as eq. 3 is printed (gamma about [20, "
                "340])");
        schema.number("irregularity", 0.15)
            .range(0, 0.5)
            .doc("how far the outline leaves the oval; 0: eq. 2 as it is");
        schema.number("strength", 0.5).range(0.01, 1).doc("factor on the mask when it is added");
        schema.number("clip", 235.0 / 255.0).range(0.1, 1).doc("highest value that adding may reach");
        schema.boolean("clip_everywhere", false)
            .doc(
                "also darken what was above clip before, inside and outside the mask, as the official code "
                "does");
        schema.text("inside", "anywhere")
            .choices({"anywhere", "body", "lungs"})
            .doc("where centres of regions may be");
        schema.number("texture_size", 60)
            .range(2, 224)
            .doc("edge of the window that texture is taken from, as in size");
        schema.number("min_area", 0.005)
            .range(0, 1)
            .doc("smallest bright component taken as texture, of the image");
        schema.integer("bank", 0).range(0, 1e9).doc(
            "0: a new mask each visit; N: visit v repeats visit v mod N (paper: 9)");
    }
    static Ports reads(const Options&) { return {{"image", "B C H W", "radiograph in [0, 1]"}}; }
    static Ports writes(const Options&) {
        return {{"normal", "B C H W", "the image itself"},
                {"abnormal", "B C H W", "the image with synthetic lesions"},
                Port("mask", "B 1 H W", "what was added, before strength; >= 0").maybe()};
    }

    Slm(const Options& options, const Symbols&)
        : strength_(static_cast<float>(options.number("strength"))),
          clip_(static_cast<float>(options.number("clip"))),
          clip_everywhere_(options.boolean("clip_everywhere")),
          min_area_(options.number("min_area")),
          bank_(static_cast<std::uint64_t>(options.integer("bank"))) {
        const auto& inside = options.text("inside");
        inside_ = inside == "lungs"  ? slm::Inside::lungs
                  : inside == "body" ? slm::Inside::body
                                     : slm::Inside::anywhere;
        settings_.rho_in_pixels = options.text("rho") == "pixels";
        settings_.irregularity = options.number("irregularity");
        settings_.texture_size = options.number("texture_size");
        std::tie(settings_.fewest_regions, settings_.most_regions) =
            range::ordered(options.integers("regions"), "regions");
        std::tie(settings_.smallest, settings_.largest) = range::ordered(options.numbers("size"), "size");
        std::tie(settings_.lowest_gamma, settings_.highest_gamma) =
            range::ordered(options.numbers("gamma"), "gamma");
        if (settings_.rho_in_pixels && settings_.highest_gamma <= 1)
            throw RecipeError(
                "gamma: found at most 1 with rho = \"pixels\", a dot of one pixel; expected pixels "
                "squared, for example [20, 340]");
    }

    Tensors sample(const Tensors& views, Random& random) const override {
        const at::Tensor& image = views["image"];
        const at::Tensor source = image.to(at::kFloat).contiguous();
        const auto channels = source.size(0), height = source.size(1), width = source.size(2);
        const auto* pixels = source.const_data_ptr<float>();
        const auto anatomy = look_at(source);
        const auto drawn = draw_parameters(random, anatomy);
        at::Tensor mask = at::zeros({1, height, width}, source.options());
        cv::Mat added(static_cast<int>(height), static_cast<int>(width), CV_32F,
                      mask.mutable_data_ptr<float>());
        for (const auto& lesion : drawn.lesions) slm::add_lesion(anatomy, lesion, added);
        at::Tensor abnormal = at::empty_like(source);
        add(pixels, channels, height * width, abnormal.mutable_data_ptr<float>(),
            mask.mutable_data_ptr<float>());
        return {{"normal", image}, {"abnormal", abnormal}, {"mask", mask}};
    }

    std::vector<std::string> drawn() const override { return {"lesions", "textures"}; }

    Tensors draw(const Tensors& views, Random& random) const override {
        const auto anatomy = look_at(views["image"].to(at::kFloat).contiguous());
        const auto described = slm::describe(anatomy, draw_parameters(random, anatomy), settings_);
        return {{"lesions", described.lesions}, {"textures", described.textures}};
    }

    Tensors render(const Tensors& batch, const Tensors& drawn) const override {
        const at::Tensor& image = batch["image"];
        const auto mask = slm::masks(drawn["lesions"], drawn["textures"], image.size(2), image.size(3));
        const auto x = image.to(at::kFloat).nan_to_num(0, 1, 0).clamp(0, 1);
        const auto raised = (x + strength_ * mask).clamp_max(clip_);
        const auto abnormal = clip_everywhere_ ? raised : at::maximum(x, raised);
        const auto unchanged = (abnormal == x).all(1, /*keepdim=*/true);
        return {{"normal", image}, {"abnormal", abnormal}, {"mask", mask.masked_fill(unchanged, 0)}};
    }

    std::vector<std::pair<std::string, std::int64_t>> counts() const override {
        return {{"without_texture", without_texture_.exchange(0)}, {"misplaced", misplaced_.exchange(0)}};
    }

  private:
    /// `image` [C, H, W], float, contiguous.
    slm::Anatomy look_at(const at::Tensor& image) const {
        return slm::look_at(image.const_data_ptr<float>(), static_cast<int>(image.size(0)),
                            static_cast<int>(image.size(1)), static_cast<int>(image.size(2)), min_area_,
                            inside_);
    }

    slm::Parameters draw_parameters(Random& random, const slm::Anatomy& anatomy) const {
        const bool restricted = inside_ != slm::Inside::anywhere;
        const auto drawn = bank_ > 0 ? draw_from_bank(random, anatomy, restricted)
                                     : slm::draw_parameters(random, anatomy, settings_, restricted);
        if (drawn.without_texture) ++without_texture_;
        if (drawn.misplaced) ++misplaced_;
        return drawn;
    }

    slm::Parameters draw_from_bank(const Random& random, const slm::Anatomy& anatomy, bool restricted) const {
        RandomKey key = random.key();
        key.epoch %= bank_;
        Random again(key);
        return slm::draw_parameters(again, anatomy, settings_, restricted);
    }

    /// Eq. 5 for all channels; clears the mask where it changes nothing.
    void add(const float* image, std::int64_t channels, std::int64_t pixels, float* abnormal,
             float* mask) const {
        for (std::int64_t i = 0; i < pixels; ++i) {
            bool changed = false;
            for (std::int64_t at = i; at < channels * pixels; at += pixels) {
                const float x = std::clamp(std::isnan(image[at]) ? 0.0F : image[at], 0.0F, 1.0F);
                const float raised = std::min(x + strength_ * mask[i], clip_);
                abnormal[at] = clip_everywhere_ ? raised : std::max(x, raised);
                changed |= abnormal[at] != x;
            }
            if (!changed) mask[i] = 0;
        }
    }

    float strength_, clip_;
    bool clip_everywhere_;
    double min_area_;
    std::uint64_t bank_;
    slm::Inside inside_ = slm::Inside::anywhere;
    slm::Settings settings_;
    mutable std::atomic<std::int64_t> without_texture_ = 0, misplaced_ = 0;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "slm",
                          .version = "0.1.0",
                          .summary = "synthetic lesion masks from an image's own bright texture",
                          .paper = "Liu et al. 2025, AFiRe, AAAI, eq. 2-5"}),
              component<Slm>("adds soft synthetic lesions; writes normal, abnormal and mask"))
