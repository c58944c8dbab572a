// AnatPaste (Sato et al. 2023, iScience 26(7), arXiv:2205.04282): a patch of the image with a blurred edge is
// pasted into the lungs. Writes the views that slm writes, and can take its place in a recipe; or the film and
// the pasted film as versions with their class, which the one-class detector of the paper tells apart.
#include <algorithm>
#include <atomic>
#include <hearth/hearth.hpp>
#include <tuple>

#include "common/film.hpp"
#include "common/patch.hpp"
#include "common/range.hpp"
#include "lungs.hpp"
#include "paste.hpp"

namespace {

using namespace hearth;

/// sample: image [C, H, W], [0, 1] -> normal (the same tensor), abnormal [C, H, W], mask [1, H, W], with
///   abnormal = normal + mask * (patch - normal)
/// The mask is the opacity of the patch, 0 outside the lungs. With film_jitter > 0 normal is the film in other
/// light. With write = "versions": versions [2, C, H, W] (normal, abnormal), version [2] (int64: 0, 1) and mask.
class AnatPaste final : public Augment {
  public:
    static void schema(Schema& schema) {
        schema.numbers("area", {0.02, 0.15})
            .size(2)
            .range(1e-4, 1)
            .doc("smallest and largest patch, as a share of the image");
        schema.number("aspect", 0.3)
            .range(0.05, 1)
            .doc("width over height of a patch is log-uniform in [aspect, 1 / aspect]");
        schema.number("jitter", 0.1).range(0, 1).doc("brightness and contrast of a patch change by up to this");
        schema.number("margin", 10)
            .range(0, 128)
            .doc("between a patch's edge and its shape, in pixels where the shorter image edge is 256");
        schema.number("blur", 14)
            .range(0, 128)
            .doc("largest standard deviation of the Gaussian on the shape's edge, in pixels as margin");
        schema.integers("alpha", {150, 254}).size(2).range(1, 255).doc("lowest and highest opacity, of 255");
        schema.number("ellipses", 0.5).range(0, 1).doc("share of ellipses; the other shapes are rectangles");
        schema.text("inside", "lungs")
            .choices({"anywhere", "lungs"})
            .doc("where a patch is seen; anywhere where no lungs are found");
        schema.text("write", "pair")
            .choices({"pair", "versions"})
            .doc("`normal` and `abnormal`, or both as a group `versions` with their classes `version`");
        schema.number("film_jitter", 0)
            .range(0, 1)
            .doc("brightness and contrast of the whole film change by up to this before anything is pasted");
        schema.number("min_lung", 400).range(1, 65536).doc("smallest lung, in pixels of a 256 x 256 image");
    }
    static Ports reads(const Options&) { return {{"image", "B C H W", "radiograph in [0, 1]"}}; }
    static Ports writes(const Options& options) {
        const auto mask = Port("mask", "B 1 H W", "opacity of the patch, in [0, 1)").maybe();
        if (options.text("write") == "versions")
            return {{"versions", "2 B C H W", "the image, and the image with a pasted patch"},
                    Port("version", "2 B", "which of them: 0 or 1").of("int64"),
                    mask};
        return {{"normal", "B C H W", "the image itself"},
                {"abnormal", "B C H W", "the image with a pasted patch"},
                mask};
    }

    AnatPaste(const Options& options, const Symbols&)
        : lungs_(options.text("inside") == "lungs"),
          versions_(options.text("write") == "versions"),
          min_lung_(options.number("min_lung")),
          film_jitter_(options.number("film_jitter")) {
        std::tie(settings_.smallest_area, settings_.largest_area) =
            range::ordered(options.numbers("area"), "area");
        const auto [lowest, highest] = range::ordered(options.integers("alpha"), "alpha");
        settings_.lowest_alpha = static_cast<int>(lowest);
        settings_.highest_alpha = static_cast<int>(highest);
        settings_.aspect = options.number("aspect");
        settings_.jitter = options.number("jitter");
        settings_.margin = options.number("margin");
        settings_.blur = options.number("blur");
        settings_.ellipses = options.number("ellipses");
    }

    Tensors sample(const Tensors& views, Random& random) const override {
        at::Tensor image = views["image"];
        at::Tensor source = image.to(at::kFloat).nan_to_num(0).clamp(0, 1).contiguous();
        if (film_jitter_ > 0) image = source = patch::relit(source, patch::draw_light(random, film_jitter_));
        const auto channels = static_cast<int>(source.size(0)), height = static_cast<int>(source.size(1)),
                   width = static_cast<int>(source.size(2));
        const auto plane = [&](const at::Tensor& tensor, int c) {
            auto* start = const_cast<float*>(tensor.const_data_ptr<float>());  // written only where it is ours
            return cv::Mat(height, width, CV_32F, start + static_cast<std::ptrdiff_t>(c) * height * width);
        };
        const cv::Mat found =
            lungs_ ? anatpaste::segment_lungs(
                         film::to_grey(source.const_data_ptr<float>(), channels, height, width), min_lung_)
                   : cv::Mat::zeros(height, width, CV_8U);
        const bool any = cv::countNonZero(found) > 0;
        if (lungs_ && !any) ++without_lungs_;
        const auto drawn = anatpaste::draw(random, found, settings_);

        at::Tensor mask = at::zeros({1, height, width}, source.options());
        anatpaste::opacity(drawn, found.size()).copyTo(plane(mask, 0), any ? found : cv::Mat());
        double mean = 0;
        for (int c = 0; c < channels; ++c)
            mean += cv::mean(plane(source, c)(cv::Rect(drawn.from, drawn.size)))[0] / channels;
        at::Tensor abnormal = at::empty_like(source);
        for (int c = 0; c < channels; ++c)
            anatpaste::blend(plane(source, c), drawn, plane(mask, 0), mean).copyTo(plane(abnormal, c));
        if (versions_)
            return {{"versions", at::stack({source, abnormal})},
                    {"version", at::arange(2, at::kLong)},
                    {"mask", mask}};
        return {{"normal", image}, {"abnormal", abnormal}, {"mask", mask}};
    }

    std::vector<std::pair<std::string, std::int64_t>> counts() const override {
        return {{"without_lungs", without_lungs_.exchange(0)}};
    }

  private:
    bool lungs_, versions_;
    double min_lung_, film_jitter_;
    anatpaste::Settings settings_;
    mutable std::atomic<std::int64_t> without_lungs_ = 0;
};

}  // namespace

HEARTH_PLUGIN(
    (PluginInfo{.id = "anatpaste",
                .version = "0.2.0",
                .summary = "patches of the image with blurred edges, pasted into the lungs",
                .paper = "Sato et al. 2023, AnatPaste, iScience 26(7)"}),
    component<AnatPaste>("pastes a patch into the lungs; writes both films, or them as versions, and the mask"))
