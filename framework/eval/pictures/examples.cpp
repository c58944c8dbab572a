// Pictures for a report are found from the wiring alone: every image-shaped view and pass output is one, and
// each loss that compares an output with a view tells what the output is meant to become.
#include "eval/pictures/examples.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "eval/probe/features.hpp"
#include "eval/probe/views.hpp"

namespace hearth::eval {
namespace {

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
    at::NoGradGuard no_grad;
    // Epochs from 1000 on: these views were not trained on, though their images were.
    const auto views = make_views(recipe, plan, images, 1'000'000);
    Examples out;
    for (const auto& [name, tensor] : views.images) {
        out.views.push_back(name);
        out.tensors.set(name, tensor);
    }
    out.tensors.set("image", views.batch["image"]);
    for (const auto& node : plan.nodes())
        for (const auto& wire : node.writes)
            if (node.runs && node.kind != Kind::augment && is_image(wire.shape, recipe.data))
                out.outputs.push_back(wire.name);
    const auto context = evaluation_context(device);
    Tensors moved;
    for (const auto& [name, tensor] : views.batch) moved.set(name, tensor.to(device));
    const auto step = plan.step(moved, context);
    for (const auto& name : out.outputs) out.tensors.set(name, step.tensors[name].detach().to(at::kCPU));

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
