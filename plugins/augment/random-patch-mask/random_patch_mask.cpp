// Masks patches at random (He et al. 2022, "Masked Autoencoders Are Scalable Vision
// Learners", https://arxiv.org/abs/2111.06377, section 3): each patch draws a number, the
// patches with the lowest are kept.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/hearth.hpp>
#include <numeric>
#include <vector>

namespace {

using namespace hearth;

/// sample: image [C, H, W] -> keep [N], restore [L], masked [L], with u ~ U(0, 1)^L:
///   shuffle = argsort(u);  keep = the first N = floor(L (1 - ratio)) of it;  restore = argsort(shuffle);
///   masked = 1 where restore >= N
/// Patch j is the restore_j-th of the sequence (kept ones, then removed ones).
class RandomPatchMask final : public Augment {
  public:
    static void schema(Schema& schema) {
        schema.number("ratio", 0.75).range(0, 0.999).doc("share of patches that are removed");
        schema.integer("patch", 16).range(1, 64).doc("edge of a patch in pixels, as in the backbone");
    }
    static Ports reads(const Options&) { return {{"image", "B C H W", "only for its shape"}}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const auto height = symbols["H"], width = symbols["W"];
        const Dim patch = options.integer("patch");
        const Dim patches = height / patch * (width / patch);
        const Dim kept = patches.known() ? Dim(count_kept(patches.value(), options.number("ratio"))) : Dim("N");
        return {Port("keep", Shape{"B", kept}, "indices of the patches that stay, in random order").of("int64"),
                Port("restore", Shape{"B", patches}, "place of each patch in (kept, removed)").of("int64"),
                Port("masked", Shape{"B", patches}, "1 where a patch is removed, else 0")};
    }

    RandomPatchMask(const Options& options, const Symbols& symbols)
        : ratio_(options.number("ratio")), patch_(options.integer("patch")) {
        if (symbols["H"].known() && symbols["W"].known())
            check(symbols.value("H"), symbols.value("W"));  // before any data is opened
    }

    // Plain loops: an at:: call on tensors of this size would start a thread pool in each loader worker.
    Tensors sample(const Tensors& views, Random& random) const override {
        const auto& image = views["image"];
        const auto patches = check(image.size(1), image.size(2));
        const auto kept = count_kept(patches, ratio_);

        std::vector<double> noise(static_cast<std::size_t>(patches));
        for (auto& value : noise) value = random.uniform();
        std::vector<std::int64_t> shuffle(noise.size());
        std::iota(shuffle.begin(), shuffle.end(), std::int64_t{0});
        std::stable_sort(shuffle.begin(), shuffle.end(), [&](std::int64_t a, std::int64_t b) {
            return noise[static_cast<std::size_t>(a)] < noise[static_cast<std::size_t>(b)];
        });

        auto keep = at::empty({kept}, at::kLong), restore = at::empty({patches}, at::kLong);
        auto masked = at::empty({patches}, at::kFloat);
        std::copy_n(shuffle.begin(), kept, keep.mutable_data_ptr<std::int64_t>());
        auto* place = restore.mutable_data_ptr<std::int64_t>();
        auto* removed = masked.mutable_data_ptr<float>();
        for (std::int64_t i = 0; i < patches; ++i) {
            const auto patch = shuffle[static_cast<std::size_t>(i)];
            place[patch] = i;
            removed[patch] = i < kept ? 0.0F : 1.0F;
        }
        return {{"keep", keep}, {"restore", restore}, {"masked", masked}};
    }

  private:
    /// N as the official code computes it, in double: 49 of 196 at 0.75, but 1 of 10 at 0.8.
    static std::int64_t count_kept(std::int64_t patches, double ratio) {
        return static_cast<std::int64_t>(static_cast<double>(patches) * (1 - ratio));
    }

    /// The number of patches of an image that has some and keeps some.
    std::int64_t check(std::int64_t height, std::int64_t width) const {
        if (height % patch_ != 0 || width % patch_ != 0)
            throw RecipeError(
                fmt::format("random-patch-mask: found an image of {} x {}, expected multiples of patch = {}",
                            height, width, patch_));
        const auto patches = height / patch_ * (width / patch_);
        if (count_kept(patches, ratio_) < 1)
            throw RecipeError(fmt::format(
                "random-patch-mask: found ratio = {} of {} patches, which keeps none; expected at most {:.4g}",
                ratio_, patches, 1 - 1 / static_cast<double>(patches)));
        return patches;
    }

    double ratio_;
    std::int64_t patch_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "random-patch-mask",
                          .version = "0.1.0",
                          .summary = "Random subsets of patches for masked image modelling",
                          .paper = "https://arxiv.org/abs/2111.06377"}),
              component<RandomPatchMask>("keeps random patches; writes keep, restore and masked"))
