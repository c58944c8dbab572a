// Masks patches of views by blocks (Bao et al. 2022, BEiT, https://arxiv.org/abs/2106.08254, algorithm 1) for the
// views of iBOT (Zhou et al. 2022, https://arxiv.org/abs/2111.07832, section 3.3), some of which stay whole.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <hearth/hearth.hpp>
#include <vector>

namespace {

using namespace hearth;

/// sample: image [G, C, H, W] -> hidden [G, L], 1 where a patch is masked. Of each view, with probability
/// `probability`: a share r ~ U(ratio) of the L patches is to be masked. Blocks are put on the view until r L are,
/// or until ten tries in a row find no block that fits. A block has
///   an area ~ U(a, what is left),  a = floor(min(rows, columns) / 3)^2,  ln of its aspect ~ U(+- ln aspect)
/// and masks a patch or more that was not, but no more than what is left. Other views have 0 everywhere.
class BlockMask final : public Augment {
  public:
    static void schema(Schema& schema) {
        schema.number("probability", 0.5).range(0, 1).doc("that a view is masked at all");
        schema.numbers("ratio", {0.1, 0.5}).size(2).range(0, 1).doc("range of the share of patches to mask");
        schema.number("aspect", 1 / 0.3).range(1, 100).doc("largest ratio of a block's sides, either way");
        schema.text("shape", "block")
            .choices({"block", "random"})
            .doc("blocks, or single patches anywhere; of those exactly the share, rounded down");
        schema.integer("patch", 16).range(1, 64).doc("edge of a patch in pixels, as in the backbone");
    }
    static Ports reads(const Options&) { return {{"image", "G B C H W", "views, only for their shape"}}; }
    static Ports writes(const Options& options, const Symbols& symbols) {
        const Dim patch = options.integer("patch");
        return {Port("hidden", Shape{"G", "B", symbols["H"] / patch * (symbols["W"] / patch)},
                     "1 where a patch is masked, else 0")};
    }

    BlockMask(const Options& options, const Symbols& symbols)
        : probability_(options.number("probability")),
          low_(options.numbers("ratio")[0]),
          high_(options.numbers("ratio")[1]),
          log_aspect_(std::log(options.number("aspect"))),
          blocks_(options.text("shape") == "block"),
          patch_(options.integer("patch")) {
        if (low_ > high_)
            throw RecipeError(
                fmt::format("block-mask: found ratio = [{}, {}], expected the smaller one first", low_, high_));
        if (symbols["H"].known() && symbols["W"].known())
            check(symbols.value("H"), symbols.value("W"));  // before any data is opened
    }

    Tensors sample(const Tensors& views, Random& random) const override {
        const auto& image = views["image"];
        const auto count = image.size(0), height = image.size(2), width = image.size(3);
        check(height, width);
        const auto rows = height / patch_, columns = width / patch_;
        auto hidden = at::empty({count, rows * columns}, at::kFloat);
        auto* out = hidden.mutable_data_ptr<float>();
        for (std::int64_t view = 0; view < count; ++view, out += rows * columns) {
            std::fill_n(out, rows * columns, 0.0F);
            if (!random.chance(probability_)) continue;
            const auto goal = random.uniform(low_, high_) * static_cast<double>(rows * columns);
            blocks_ ? mask_blocks(random, goal, rows, columns, out)
                    : mask_patches(random, goal, rows * columns, out);
        }
        return {{"hidden", hidden}};
    }

  private:
    void mask_blocks(Random& random, double goal, std::int64_t rows, std::int64_t columns, float* out) const {
        const auto third = std::min(rows, columns) / 3;
        double masked = 0;
        while (masked < goal) {
            std::int64_t added = 0;
            for (int attempt = 0; attempt < 10 && added == 0; ++attempt)
                added =
                    put_block(random, static_cast<double>(third * third), goal - masked, rows, columns, out);
            if (added == 0) return;
            masked += static_cast<double>(added);
        }
    }

    /// How many patches a block newly masks; 0 where it does not fit, and nothing is done.
    std::int64_t put_block(Random& random, double least, double left, std::int64_t rows, std::int64_t columns,
                           float* out) const {
        const auto area = random.uniform(least, left);
        const auto aspect = std::exp(random.uniform(-log_aspect_, log_aspect_));
        const auto tall = std::llround(std::sqrt(area * aspect)), wide = std::llround(std::sqrt(area / aspect));
        if (tall >= rows || wide >= columns) return 0;
        const auto top = random.integer(0, rows - tall), side = random.integer(0, columns - wide);
        const auto each = [&](const auto& use) {
            for (auto row = top; row < top + tall; ++row)
                for (auto column = side; column < side + wide; ++column) use(out[row * columns + column]);
        };
        std::int64_t fresh = 0;
        each([&](const float& patch) { fresh += patch == 0 ? 1 : 0; });
        if (fresh == 0 || static_cast<double>(fresh) > left) return 0;
        each([](float& patch) { patch = 1; });
        return fresh;
    }

    /// The first of a shuffle (Fisher-Yates).
    static void mask_patches(Random& random, double goal, std::int64_t patches, float* out) {
        std::vector<std::int64_t> order(static_cast<std::size_t>(patches));
        for (std::int64_t i = 0; i < patches; ++i) order[static_cast<std::size_t>(i)] = i;
        for (std::int64_t i = 0; i < static_cast<std::int64_t>(goal); ++i) {
            std::swap(order[static_cast<std::size_t>(i)],
                      order[static_cast<std::size_t>(random.integer(i, patches - 1))]);
            out[order[static_cast<std::size_t>(i)]] = 1;
        }
    }

    void check(std::int64_t height, std::int64_t width) const {
        if (height % patch_ != 0 || width % patch_ != 0)
            throw RecipeError(fmt::format(
                "block-mask: found views of {} x {}, expected multiples of patch = {}", height, width, patch_));
    }

    double probability_, low_, high_, log_aspect_;
    bool blocks_;
    std::int64_t patch_;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "block-mask",
                          .version = "0.1.0",
                          .summary = "Blocks of masked patches for masked image modelling",
                          .url = "https://github.com/bytedance/ibot",
                          .paper = "https://arxiv.org/abs/2111.07832"}),
              component<BlockMask>("masks blocks of patches of some views; writes hidden"))
