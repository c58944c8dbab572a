#include "eval/probe/batches.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "data/loader.hpp"
#include "dist/process_group.hpp"

namespace hearth::eval {

namespace {

/// "2 test images".
std::string counted(const std::vector<data::Quarantined>& entries, const std::string& images) {
    return fmt::format("{} {} image{}", entries.size(), images, entries.size() == 1 ? "" : "s");
}

std::string names_of(const std::vector<data::Quarantined>& entries) {
    std::string names;
    for (std::size_t i = 0; i < std::min<std::size_t>(entries.size(), 3); ++i)
        names += (i > 0 ? ", " : "") + entries[i].name;
    return names + (entries.size() > 3 ? ", .." : "");
}

/// The indices of the batches, of up to `size` images, that the processes have at the same time, by rank.
std::vector<at::Tensor> of_all_ranks(const at::Tensor& own, std::int64_t size, const Comm& comm) {
    if (comm.world_size() == 1) return {own};
    auto padded = at::full({size}, -1, at::kLong);
    padded.slice(0, 0, own.size(0)).copy_(own);
    std::vector<at::Tensor> out;
    for (const auto& indices : comm.all_gather(padded, /*with_grad=*/false).cpu().chunk(comm.world_size()))
        out.push_back(indices.slice(0, 0, (indices >= 0).sum().item<std::int64_t>()).contiguous());
    return out;
}

}  // namespace

bool labelled(const Labels& labels, std::int64_t image) {
    if (labels.of.empty()) return true;
    return std::ranges::any_of(labels.row(image), [](int label) { return label >= 0; });
}

std::int64_t count_labelled(const LabelledSet& set, std::int64_t limit) {
    std::int64_t count = 0;
    for (std::int64_t image = 0; image < set.images->size(); ++image) count += labelled(set.labels, image);
    return limit > 0 ? std::min(limit, count) : count;
}

OddImages for_each_batch(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t size,
                         std::int64_t limit, const BatchUse& use, c10::Device device) {
    return share_batches(set, data, size, limit, use, device, Comm::local()).odd;
}

SharedBatches share_batches(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t size,
                            std::int64_t limit, const BatchUse& use, c10::Device device, const Comm& comm) {
    data::Loader loader(set.images,
                        {.batch = size,
                         .workers = data.workers > 0 ? data.workers : dist::cores_of(comm),
                         .channels = data.channels,
                         .shuffle = limit > 0,
                         .drop_last = false,
                         .cache = false,
                         .rank = comm.rank(),
                         .world = comm.world_size(),
                         .max_bad = 1,
                         .pinned = device.is_cuda()},
                        nullptr, {"image", "index"});
    loader.begin(0);
    std::vector<bool> seen(static_cast<std::size_t>(set.images->size()), false);
    SharedBatches out;
    const auto next = [&](Tensors& batch) {
        try {
            return loader.next(batch);
        } catch (const DataError&) {  // none of the images can be read, or it is something else
            if (std::ssize(loader.quarantine()) < set.images->size()) throw;
            return false;
        }
    };
    while (limit <= 0 || std::ssize(out.images) < limit) {
        Tensors batch;
        const bool has_some = next(batch);
        const auto all = of_all_ranks(has_some ? batch["index"] : at::empty({0}, at::kLong), size, comm);
        if (std::ranges::all_of(all, [](const auto& indices) { return indices.numel() == 0; })) break;
        std::vector<std::int64_t> rows, indices;
        for (std::size_t rank = 0; rank < all.size(); ++rank) {
            const auto* index = all[rank].const_data_ptr<std::int64_t>();
            for (std::int64_t i = 0; i < all[rank].size(0); ++i) {
                if (limit > 0 && std::ssize(out.images) >= limit) break;
                const auto at = static_cast<std::size_t>(index[i]);
                if (!labelled(set.labels, index[i]) || seen[at])
                    continue;  // an unreadable image is replaced by one that is met again
                seen[at] = true;
                out.images.push_back(index[i]);
                out.owners.push_back(static_cast<int>(rank));
                if (static_cast<int>(rank) != comm.rank()) continue;
                rows.push_back(i);
                indices.push_back(index[i]);
            }
        }
        if (rows.empty()) continue;
        auto images = batch["image"];
        if (std::ssize(rows) < images.size(0)) {
            images = images.index_select(0, at::tensor(rows, at::kLong));
            if (device.is_cuda()) images = images.pin_memory();
        }
        use(images, indices);
    }
    out.odd = {.unreadable = loader.quarantine(), .flat = loader.flat()};
    std::erase_if(out.odd.unreadable, [&](const auto& bad) { return !labelled(set.labels, bad.index); });
    std::erase_if(out.odd.flat, [&](const auto& flat) { return !seen[static_cast<std::size_t>(flat.index)]; });
    return out;
}

at::Tensor gather_shared(const at::Tensor& own, const SharedBatches& shared, const Comm& comm) {
    if (comm.world_size() == 1 || shared.images.empty()) return own;
    const auto width = comm.all_gather(at::full({1}, own.defined() ? own.size(1) : 0, at::kLong), false);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(comm.world_size()), 0), places;
    for (const auto owner : shared.owners) places.push_back(counts[static_cast<std::size_t>(owner)]++);
    const auto most = *std::ranges::max_element(counts);
    for (std::size_t i = 0; i < places.size(); ++i) places[i] += shared.owners[i] * most;
    auto padded = at::zeros({most, width.max().item<std::int64_t>()}, at::kFloat);
    if (own.defined()) padded.slice(0, 0, own.size(0)).copy_(own);
    return comm.all_gather(padded, /*with_grad=*/false).index_select(0, at::tensor(places, at::kLong));
}

std::string unreadable_note(const std::vector<data::Quarantined>& unreadable, const std::string& images) {
    if (unreadable.empty()) return "";
    return fmt::format("{} cannot be read and {} left out: {}", counted(unreadable, images),
                       unreadable.size() == 1 ? "is" : "are", names_of(unreadable));
}

std::vector<std::string> notes_on_odd(const OddImages& odd, const std::string& images) {
    std::vector<std::string> out;
    if (!odd.unreadable.empty()) out.push_back(unreadable_note(odd.unreadable, images));
    if (!odd.flat.empty())
        out.push_back(fmt::format("{} {} blank or nearly and {} used: {} ({})", counted(odd.flat, images),
                                  odd.flat.size() == 1 ? "is" : "are", odd.flat.size() == 1 ? "is" : "are",
                                  names_of(odd.flat), odd.flat.front().reason));
    if (!odd.without_mask.empty())
        out.push_back(fmt::format("{} {} no mask that can be used, and what needs one leaves {} out: {} ({})",
                                  counted(odd.without_mask, images),
                                  odd.without_mask.size() == 1 ? "has" : "have",
                                  odd.without_mask.size() == 1 ? "it" : "them", names_of(odd.without_mask),
                                  odd.without_mask.front().reason));
    return out;
}

std::optional<cv::Mat> usable_mask(const data::Dataset& images, std::int64_t image, const std::string& column,
                                   std::vector<data::Quarantined>& unusable) {
    try {
        return images.mask(image, column);
    } catch (const DataError& error) {  // not there, broken, or of another shape than its image
        unusable.push_back({image, images.name(image), error.what()});
        return std::nullopt;
    }
}

}  // namespace hearth::eval
