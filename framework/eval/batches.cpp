#include "eval/batches.hpp"

#include <ATen/ATen.h>

#include "data/loader.hpp"

namespace hearth::eval {

void for_each_batch(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t size, std::int64_t limit,
                    const BatchUse& use) {
    data::Loader loader(set.images,
                        {.batch = size,
                         .workers = data.workers,
                         .channels = data.channels,
                         .shuffle = limit > 0,
                         .drop_last = false,
                         .cache = false,
                         .max_bad = data.max_bad},
                        nullptr, {"image", "index"});
    loader.begin(0);
    std::vector<bool> seen(static_cast<std::size_t>(set.images->size()), false);
    std::int64_t used = 0;
    Tensors batch;
    while ((limit <= 0 || used < limit) && loader.next(batch)) {
        std::vector<std::int64_t> rows, indices;
        const auto* index = batch["index"].const_data_ptr<std::int64_t>();
        for (std::int64_t i = 0; i < batch["index"].size(0) && (limit <= 0 || used < limit); ++i) {
            const auto at = static_cast<std::size_t>(index[i]);
            const bool unlabelled = !set.labels.of.empty() && set.labels.of[at] < 0;
            if (unlabelled || seen[at]) continue;  // an unreadable image is replaced by one that is met again
            seen[at] = true;
            ++used;
            rows.push_back(i);
            indices.push_back(index[i]);
        }
        if (!rows.empty()) use(batch["image"].index_select(0, at::tensor(rows, at::kLong)), indices);
    }
}

}  // namespace hearth::eval
