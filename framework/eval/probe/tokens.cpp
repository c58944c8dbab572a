#include "eval/probe/tokens.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <unistd.h>

#include <hearth/tokens.hpp>

#include "base/size_text.hpp"
#include "eval/probe/batches.hpp"

namespace hearth::eval {

Extractor backbone_tokens(const plan::Plan& plan, const std::string& network, const Context& context,
                          bool bf16) {
    return [&plan, network, context, bf16](const at::Tensor& images) {
        const auto made = frozen_outputs(plan, network, images, context, bf16);
        if (!made.has("tokens"))
            throw RecipeError(fmt::format(
                "the backbone of '{}' writes no patch tokens, which probe = \"attentive\" reads; use "
                "linear or knn, or a backbone with the output tokens",
                network));
        return made["tokens"];
    };
}

Extractor pixel_tokens(std::int64_t tokens, std::int64_t width, std::uint64_t seed) {
    auto matrix = std::make_shared<at::Tensor>();
    return [=](const at::Tensor& images) {
        const auto patches = patchify(images, patch_edge(images.size(2), images.size(3), tokens));
        if (!matrix->defined()) {
            auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
            const auto pixels = patches.size(2);
            *matrix = at::randn({pixels, width}, generator) / std::sqrt(static_cast<double>(pixels));
        }
        return at::matmul(patches, *matrix);
    };
}

FeatureSet extract_tokens(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t limit,
                          const Extractor& extractor, c10::Device device) {
    const at::NoGradGuard no_grad;
    FeatureSet out;
    std::int64_t filled = 0;
    out.odd = for_each_batch(
        set, data, evaluation_batch(data, device), limit,
        [&](const at::Tensor& images, const std::vector<std::int64_t>& rows) {
            const auto tokens = extractor(images).to(at::kFloat);
            if (!out.x.defined())
                out.x = at::empty({count_labelled(set, limit), tokens.size(1), tokens.size(2)}, at::kFloat);
            out.x.slice(0, filled, filled + tokens.size(0)).copy_(tokens);
            filled += tokens.size(0);
            add_rows(out, set, rows);
        },
        device);
    if (filled == 0) throw NothingReadable(*set.images);
    out.x = out.x.slice(0, 0, filled);  // unreadable images have left room
    return out;
}

std::int64_t token_memory() {
    return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 2;
}

void check_token_memory(const recipe::LabelledSpec& spec, std::int64_t images, std::int64_t tokens,
                        std::int64_t width, std::int64_t allowed) {
    const auto bytes = images * tokens * width * static_cast<std::int64_t>(sizeof(float));
    if (bytes <= allowed) return;
    throw RecipeError(fmt::format(
        "{}: probe = \"attentive\" keeps the patch tokens of all images in memory: found {} images x {} tokens "
        "x {} numbers = {}, expected at most {}, half of this machine's memory; set limit (it is {}, for "
        "training and test images each), or use linear and knn",
        spec.place("probe").text(), images, tokens, width, base::size_text(static_cast<double>(bytes)),
        base::size_text(static_cast<double>(allowed)), spec.limit));
}

}  // namespace hearth::eval
