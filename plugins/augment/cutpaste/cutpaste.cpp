// CutPaste (Li et al. 2021, CVPR, arXiv:2104.04015): versions of a film into which a part of itself is pasted,
// with the class of each, for a network that learns to tell them apart. paste.hpp draws and pastes.
#include <ATen/ATen.h>

#include <array>
#include <hearth/hearth.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "common/patch.hpp"
#include "common/range.hpp"
#include "paste.hpp"

namespace {

using namespace hearth;
using at::Tensor;

/// sample: image [C, H, W], [0, 1] -> versions [G, C, H, W] and version [G] (int64, 0 to G - 1):
///   "3-way"   the film; with a large patch; with a scar
///   "patch"   the film; with a large patch
///   "scar"    the film; with a scar
///   "union"   the film; with one of both, each half of the time
/// "The film" is in other light where film_jitter > 0, and so is what the others are made of.
class CutPaste final : public Augment {
  public:
    static void schema(Schema& schema) {
        schema.text("variant", "3-way")
            .choices({"3-way", "patch", "scar", "union"})
            .doc(
                "versions beside the film: patch and scar as two classes, one of them, or either as one class");
        schema.numbers("area", {0.02, 0.15})
            .size(2)
            .range(1e-4, 1)
            .doc("smallest and largest patch, as a share of the image");
        schema.number("aspect", 0.3)
            .range(0.05, 1)
            .doc("width over height of a patch is log-uniform in [aspect, 1 / aspect]");
        schema.numbers("scar_width", {2, 16})
            .size(2)
            .range(1, 256)
            .doc("range of a scar's width, in pixels where the shorter image edge is 256");
        schema.numbers("scar_length", {10, 25})
            .size(2)
            .range(1, 256)
            .doc("range of a scar's length, in pixels as scar_width");
        schema.numbers("rotation", {-45, 45})
            .size(2)
            .range(-180, 180)
            .doc("range of the angle by which a scar is turned, in degrees");
        schema.number("jitter", 0.1)
            .range(0, 1)
            .doc("brightness and contrast of what is pasted change by up to this");
        schema.number("film_jitter", 0.1)
            .range(0, 1)
            .doc("brightness and contrast of the whole film change by up to this before anything is pasted");
    }
    static Ports reads(const Options&) { return {{"image", "B C H W", "radiograph in [0, 1]"}}; }
    static Ports writes(const Options& options) {
        const auto count = options.text("variant") == "3-way" ? 3 : 2;
        return {{"versions", Shape{count, "B", "C", "H", "W"}, "the film, and films with a pasted part of it"},
                Port("version", Shape{count, "B"}, "which version: its class from 0").of("int64")};
    }

    CutPaste(const Options& options, const Symbols&)
        : variant_(options.text("variant")), film_jitter_(options.number("film_jitter")) {
        const auto ordered = [&](const char* name) { return range::ordered(options.numbers(name), name); };
        const auto pair = [&](const char* name) {
            const auto [low, high] = ordered(name);
            return std::array<double, 2>{low, high};
        };
        std::tie(settings_.smallest_area, settings_.largest_area) = ordered("area");
        settings_.scar_width = pair("scar_width");
        settings_.scar_length = pair("scar_length");
        settings_.rotation = pair("rotation");
        settings_.aspect = options.number("aspect");
        settings_.jitter = options.number("jitter");
    }

    Tensors sample(const Tensors& views, Random& random) const override {
        Tensor film = views["image"].to(at::kFloat).nan_to_num(0).clamp(0, 1).contiguous();
        if (film_jitter_ > 0) film = patch::relit(film, patch::draw_light(random, film_jitter_));
        const patch::Size size{static_cast<int>(film.size(1)), static_cast<int>(film.size(2))};
        const auto with_patch = [&] {
            return cutpaste::pasted(film, cutpaste::draw_patch(random, size, settings_));
        };
        const auto with_scar = [&] {
            return cutpaste::pasted(film, cutpaste::draw_scar(random, size, settings_));
        };
        std::vector<Tensor> versions = {film};
        if (variant_ == "3-way") {
            versions.push_back(with_patch());
            versions.push_back(with_scar());
        } else {
            const bool scar = variant_ == "union" ? random.chance(0.5) : variant_ == "scar";
            versions.push_back(scar ? with_scar() : with_patch());
        }
        const auto count = static_cast<std::int64_t>(versions.size());
        return {{"versions", at::stack(versions)}, {"version", at::arange(count, at::kLong)}};
    }

  private:
    std::string variant_;
    double film_jitter_;
    cutpaste::Settings settings_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "cutpaste",
                          .version = "0.1.0",
                          .summary = "versions of a film with a part of it pasted elsewhere, and their classes",
                          .paper = "Li et al. 2021, CutPaste, arXiv 2104.04015"}),
              component<CutPaste>("writes the film, the film with a pasted patch or scar, and their classes"))
