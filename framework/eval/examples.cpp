// Pictures for a report, found from the wiring alone: every image-shaped view and pass output, and each loss
// that compares an output with a view tells what the output is meant to become.
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "data/loader.hpp"
#include "eval/evaluate.hpp"
#include "train/trainer.hpp"

namespace hearth::eval {
namespace {

constexpr std::int64_t shown_of_a_group = 4;

/// [B, C, H, W] with the channels of a film or of a mask, and large enough to see something.
bool is_image(const Shape& shape, const recipe::DataSpec& data) {
    const auto large = [](const Dim& dim) { return dim.known() && dim.value() >= 16; };
    return shape.size() == 4 && shape[1].known() &&
           (shape[1].value() == data.channels || shape[1].value() == 1) && large(shape[2]) && large(shape[3]);
}

/// A group of images, [G, B, C, H, W].
bool is_group(const Shape& shape, const recipe::DataSpec& data) {
    return shape.size() == 5 && is_image(Shape(shape.begin() + 1, shape.end()), data);
}

bool same_shape(const Tensors& tensors, const std::string& a, const std::string& b) {
    return tensors[a].sizes() == tensors[b].sizes();
}

double psnr(double squared_error) {
    if (std::isnan(squared_error)) return squared_error;  // nothing was changed
    return squared_error > 0 ? -10.0 * std::log10(squared_error) : INFINITY;
}

Restoration measure(const std::string& output, const std::string& input, const std::string& target,
                    const Tensors& tensors) {
    Restoration r{.output = output, .input = input, .target = target};
    const auto x = tensors[input].to(at::kFloat), y = tensors[target].to(at::kFloat),
               z = tensors[output].to(at::kFloat);
    const auto changed = (x - y).abs() > 0.02;
    const auto mean_where = [](const at::Tensor& values, const at::Tensor& where) {
        const auto picked = values.masked_select(where);
        return picked.numel() > 0 ? picked.mean().item<double>() : std::nan("");
    };
    r.images = x.size(0);
    r.input_error = mean_where((x - y).abs(), changed);
    r.output_error = mean_where((z - y).abs(), changed);
    r.elsewhere = mean_where((z - y).abs(), ~changed);
    r.psnr_input = psnr(mean_where((x - y).square(), changed));
    r.psnr_output = psnr(mean_where((z - y).square(), changed));
    return r;
}

}  // namespace

Examples make_examples(const recipe::Recipe& recipe, const plan::Plan& plan, c10::Device device,
                       std::int64_t images) {
    torch::NoGradGuard no_grad;
    auto delivered = plan.delivered();
    delivered.insert("image");
    Examples out;
    std::vector<std::string> groups;
    for (const auto& node : plan.nodes()) {
        for (const auto& wire : node.writes) {
            const bool group = is_group(wire.shape, recipe.data) && node.kind == Kind::augment;
            if (!node.runs || !(group || is_image(wire.shape, recipe.data))) continue;
            (group ? groups : node.kind == Kind::augment ? out.views : out.outputs).push_back(wire.name);
            if (node.kind == Kind::augment) delivered.insert(wire.name);
        }
    }
    const auto dataset = train::open_training_data(recipe.data);
    images = std::min(images, dataset->size());
    // Epochs from 1000 on: these views were not trained on, though their images were.
    auto options = train::loader_options(recipe, plan, train::training_labels(recipe.data, *dataset));
    options.batch = images;
    options.cache = false;
    data::Loader loader(
        dataset, options, [&](Tensors& views, const RandomKey& key) { plan.augment(views, key); }, delivered);
    loader.begin(1'000'000);
    Tensors batch;
    loader.next(batch);
    Context context;
    context.training = false;
    context.device = device;
    Tensors moved;
    for (const auto& [name, tensor] : batch) moved.set(name, tensor.to(device));
    const auto step = plan.step(moved, context);
    for (const auto& [name, tensor] : step.tensors)
        if (std::find(out.views.begin(), out.views.end(), name) != out.views.end() ||
            std::find(out.outputs.begin(), out.outputs.end(), name) != out.outputs.end() || name == "image")
            out.tensors.set(name, tensor.detach().to(at::kCPU));
    for (const auto& group : groups)
        for (std::int64_t i = 0; i < std::min(shown_of_a_group, moved[group].size(0)); ++i) {
            out.views.push_back(fmt::format("{} {}", group, i + 1));
            out.tensors.set(out.views.back(), moved[group][i].to(at::kCPU));
        }

    for (const auto& loss : plan.nodes()) {
        if (loss.kind != Kind::loss) continue;
        std::string output, target, input;
        for (const auto& wire : loss.reads) {
            const bool is_output =
                std::find(out.outputs.begin(), out.outputs.end(), wire.name) != out.outputs.end();
            if (is_output) output = wire.name;
            // The first image of the output's channels that is not an output: the target.
            if (!is_output && target.empty() && is_image(wire.shape, recipe.data) &&
                out.tensors.has(wire.name) && wire.shape[1].value() == recipe.data.channels)
                target = wire.name;
        }
        if (output.empty() || target.empty() || !same_shape(out.tensors, output, target)) continue;
        const auto pass = output.substr(0, output.find('.'));
        for (const auto& node : plan.nodes())
            if (node.kind == Kind::backbone && node.pass == pass)
                for (const auto& wire : node.reads)
                    if (wire.port == "image") input = wire.name;
        if (!input.empty() && out.tensors.has(input) && input != target &&
            same_shape(out.tensors, input, target))
            out.restorations.push_back(measure(output, input, target, out.tensors));
    }
    return out;
}

}  // namespace hearth::eval
