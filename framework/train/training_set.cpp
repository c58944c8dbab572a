#include "train/training_set.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/error.hpp>
#include <hearth/mixed_precision.hpp>
#include <map>
#include <optional>

#include "train/stepper.hpp"
#include "train/training_data.hpp"

namespace hearth::train {
namespace {

using at::Tensor;

/// By name, whose call writes it.
using Writers = std::map<std::string, const plan::Node*>;

Writers writers_of(const plan::Plan& plan) {
    Writers out;
    for (const auto& node : plan.nodes())
        for (const auto& wire : node.writes) out[wire.name] = &node;
    return out;
}

bool is_view(const std::string& name, const Writers& writers) {
    const auto found = writers.find(name);
    return found != writers.end() && found->second->kind == Kind::augment;
}

/// What a call can be given of its reads, and how well that serves.
struct Candidate {
    FitReads reads;
    bool complete = true, enough = true;
    std::string missing;  ///< why it is not enough
};

Candidate candidate(const plan::Plan& plan, const plan::Node& node, const Writers& writers) {
    Candidate out;
    out.reads.node = &node;
    const bool has_own = std::ranges::any_of(
        node.reads, [](const auto& wire) { return wire.only_for_fit && !wire.name.empty(); });
    for (const auto& wire : node.reads) {
        if (wire.name.empty()) continue;
        const bool written = writers.count(wire.name) != 0 && !is_view(wire.name, writers);
        const auto needed = written ? plan.needs({wire.name}) : std::set<std::string>{wire.name};
        const auto view =
            std::ranges::find_if(needed, [&](const auto& name) { return is_view(name, writers); });
        if (view == needed.end()) {
            out.reads.ports.emplace_back(wire.port, wire.name);
            if (written) out.reads.outputs.insert(wire.name);
            out.reads.sources.insert(needed.begin(), needed.end());
            continue;
        }
        out.complete = false;
        const bool required = !wire.optional && (wire.only_for_fit || !has_own);
        if (!required || !out.enough) continue;
        out.enough = false;
        const auto& maker = writers.at(*view)->id;
        out.missing = fmt::format(
            "{}: {} takes in the whole training set, where no augment runs, but its port '{}' reads '{}', {}",
            node.where, node.id, wire.port, wire.name,
            *view == wire.name
                ? fmt::format("a view that {} makes; point it at \"image\"", maker)
                : fmt::format(
                      "which is made from the view '{}' of {}; add a [[pass]] with view = \"image\" and "
                      "point the port at it: reads = {{ {} = \"PASS.{}\" }}",
                      *view, maker, wire.port, wire.name.substr(wire.name.rfind('.') + 1)));
    }
    return out;
}

/// Evaluation mode while it lives.
class Evaluating {
  public:
    explicit Evaluating(plan::Plan& plan)
        : plan_(plan), trains_(std::ranges::any_of(plan.components(), [](const auto& component) {
              return component.second->is_training();
          })) {
        plan_.train(false);
    }
    ~Evaluating() { plan_.train(trains_); }
    Evaluating(const Evaluating&) = delete;
    Evaluating& operator=(const Evaluating&) = delete;

  private:
    plan::Plan& plan_;
    bool trains_;
};

/// Which axis the images are along; nothing where a tensor is not about images.
std::optional<std::int64_t> batch_axis(const Shape& shape) {
    const auto found = std::ranges::find(shape, Dim("B"));
    if (found == shape.end()) return std::nullopt;
    return found - shape.begin();
}

/// [n, ...] with n of at most `rows` -> [processes, rows, ...]; the rows above n hold zeros. As bytes, since
/// backends do not know every type.
Tensor gather_rows(const Comm& comm, const Tensor& tensor, std::int64_t rows) {
    auto sizes = tensor.sizes().vec();
    sizes[0] = rows;
    auto padded = at::zeros(sizes, tensor.options());
    padded.narrow(0, 0, tensor.size(0)).copy_(tensor);
    const auto all = comm.all_gather(padded.view({rows, -1}).view(at::kByte), /*with_grad=*/false);
    sizes.insert(sizes.begin(), comm.world_size());
    return all.contiguous().view(tensor.scalar_type()).view(sizes);
}

}  // namespace

FitReads reads_for_fit(const plan::Plan& plan, const Component& component) {
    const auto writers = writers_of(plan);
    std::vector<Candidate> found;
    for (const auto& node : plan.nodes())
        if (node.component.get() == &component) found.push_back(candidate(plan, node, writers));
    if (found.empty()) return {};
    for (const auto good : {&Candidate::complete, &Candidate::enough})
        for (auto& one : found)
            if (one.*good) return std::move(one.reads);
    throw RecipeError(found.front().missing);
}

void check_fits(const plan::Plan& plan) {
    for (const auto& node : plan.nodes())
        if (node.component && node.component->fits() != Fit::never)
            static_cast<void>(reads_for_fit(plan, *node.component));
}

Tensors evaluated(const plan::Plan& plan, const Tensors& views, const std::set<std::string>& names,
                  const Context& context) {
    const bool recorded = plan.needs_gradient(names);
    const at::AutoGradMode gradients(recorded);
    auto out = plan.outputs(views, names, context);
    if (!recorded) return out;
    for (const auto& name : names) out.set(name, out[name].detach());
    return out;
}

/// The images of one batch that could be read.
struct PlanTrainingSet::Batch {
    Tensors views;  ///< sources by name, on the device; empty where none is left
    Tensor index;   ///< [n], CPU
    std::int64_t lost = 0;
};

// The loader puts the next readable image in the place of one that is not; such a row is not where it belongs.
PlanTrainingSet::Batch PlanTrainingSet::next(data::Loader& loader, std::int64_t first,
                                             const FitReads& reads) const {
    Tensors batch;
    loader.next(batch);
    const auto& index = batch["index"];
    const auto found = (index == at::arange(first, first + index.size(0))).nonzero().squeeze(1);
    Batch out;
    out.index = index.index_select(0, found);
    out.lost = index.size(0) - found.size(0);
    if (found.size(0) == 0) return out;
    for (const auto& source : reads.sources) {
        const auto& tensor = batch[source];
        out.views.set(source, data::moved(out.lost > 0 ? tensor.index_select(0, found) : tensor,
                                          set_.context.device, loader.channels()));
    }
    return out;
}

// One image of zeros, for a process that has no batch when the others have one: what its tensors are of.
Tensors PlanTrainingSet::dummy(const std::set<std::string>& sources) const {
    const auto& data = set_.recipe.data;
    const auto width = static_cast<std::int64_t>(set_.labels.classes.size());
    Tensors out;
    for (const auto& source : sources) {
        const auto zeros = source == "image"          ? at::zeros({1, data.channels, data.size, data.size})
                           : source == "segmentation" ? at::zeros({1, 1, data.size, data.size})
                           : source == "label" && set_.labels.several ? at::zeros({1, width}, at::kLong)
                                                                      : at::zeros({1}, at::kLong);
        out.set(source, zeros.to(set_.context.device));
    }
    return out;
}

Tensors PlanTrainingSet::make(const Tensors& views, const FitReads& reads, const Context& context,
                              bool bf16) const {
    Tensors made;
    if (!reads.outputs.empty()) {
        const MixedPrecision mixed(context.device.type(), bf16);
        made = evaluated(set_.plan, views, reads.outputs, context);
    }
    Tensors in;
    for (const auto& [port, name] : reads.ports)
        in.set(port, reads.outputs.count(name) != 0 ? made[name] : views[name]);
    return in;
}

void PlanTrainingSet::refuse_too_many(const data::Loader& loader, std::int64_t met) const {
    const auto share = set_.recipe.data.max_bad;
    if (static_cast<double>(left_out_) <= share * static_cast<double>(size())) return;
    if (const auto missing = data::most_missing(*set_.images); !missing.empty()) throw DataError(missing);
    const auto bad = loader.quarantine();
    throw DataError(fmt::format(
        "found {} unreadable images among {} of {}, expected at most {:.2g} % "
        "(data.max_bad){}",
        left_out_, met, size(), 100 * share, bad.empty() ? "" : "; one of them: " + bad.front().reason));
}

void PlanTrainingSet::each(const Use& use) const {
    const auto reads = reads_for_fit(set_.plan, component_);
    const at::NoGradGuard no_grad;
    const Evaluating mode(set_.plan);
    auto context = set_.context;
    context.training = context.learns = false;
    context.set = nullptr;
    context.wanted = nullptr;
    const auto& comm = *context.comm;
    const std::int64_t rank = comm.rank(), world = comm.world_size();
    const bool bf16 = use_bf16(set_.recipe.train.precision, context.device);

    auto options = loader_options(set_.recipe, set_.plan, set_.labels, comm, context.device);
    options.shuffle = options.drop_last = false;
    options.copies = 1;
    options.max_bad = 1;  // counted below, over all processes
    options.batch_axis.clear();
    if (reads.sources.count("segmentation") == 0) options.mask.clear();
    data::Loader loader(set_.images, options, nullptr, reads.sources);
    loader.begin(0);

    left_out_ = 0;
    const auto rounds = loader.batches_per_epoch(), rows = options.batch;
    for (std::int64_t round = 0; round < rounds; ++round) {
        const auto batch = next(loader, (round * world + rank) * rows, reads);
        const auto count = batch.index.size(0);
        const auto met = std::min((round + 1) * world * rows, size());
        if (world == 1) {
            left_out_ += batch.lost;
            refuse_too_many(loader, met);
            if (count > 0) use(make(batch.views, reads, context, bf16), batch.index);
            if (progress_) progress_(met, size());
            continue;
        }
        const auto counts = comm.all_gather(at::tensor({count, batch.lost}).unsqueeze(0), /*with_grad=*/false);
        left_out_ += counts.select(1, 1).sum().item<std::int64_t>();
        refuse_too_many(loader, met);
        const auto mine = make(count > 0 ? batch.views : dummy(reads.sources), reads, context, bf16);
        const auto index = gather_rows(comm, batch.index, rows);
        std::map<std::string, std::pair<Tensor, std::int64_t>> of_all;  // by port, with the batch's axis
        for (const auto& [port, name] : reads.ports)
            if (const auto axis = batch_axis(set_.plan.shape(name)))
                of_all[port] = {gather_rows(comm, mine[port].movedim(*axis, 0), rows), *axis};
        for (std::int64_t other = 0; other < world; ++other) {
            const auto its = counts[other][0].item<std::int64_t>();
            if (its == 0) continue;
            auto in = mine;
            for (const auto& [port, gathered] : of_all)
                in.set(port, gathered.first[other].narrow(0, 0, its).movedim(0, gathered.second).contiguous());
            use(in, index[other].narrow(0, 0, its));
        }
        if (progress_) progress_(met, size());
    }
}

}  // namespace hearth::train
