// The keys of the fixed sections. docs/recipes.md lists the same; a test compares the two.
#include <hearth/text.hpp>

#include "recipe/key.hpp"
#include "recipe/recipe.hpp"

namespace hearth::recipe {
namespace {

void add_unknown_labels(Schema& schema) {
    schema.text("uncertain", "ignore")
        .choices({"ignore", "zeros", "ones"})
        .doc("what a cell of -1 counts as: nothing, 0 (negative) or 1 (positive)");
    schema.text("blank", "ignore")
        .choices({"ignore", "zeros"})
        .doc("what an empty cell counts as: nothing or 0 (negative)");
}

void add_phantoms(Schema& schema, std::int64_t count, std::int64_t seed) {
    schema.integer("phantom_count", count)
        .range(0, any_count)
        .doc("generated images, when source = \"phantom\"");
    schema.integer("phantom_seed", seed).range(0, any_count).doc("seed of the generated images");
}

}  // namespace

Schema data_schema() {
    const DataSpec defaults;
    Schema schema;
    schema.text("source", "").required().doc("\"phantom\", or a manifest (CSV) or folder of images");
    schema.text("where", "").doc("which rows of the manifest: label == \"normal\" and split == \"train\"");
    add_phantoms(schema, 1000, 0);
    schema.number("phantom_lesions", 0).range(0, 1).doc("share of generated images with a lesion");
    schema.integer("size", defaults.size).range(8, 8192).doc("images become size x size pixels");
    schema.integer("channels", defaults.channels)
        .range(1, 3)
        .doc("1, or 3 equal ones for weights that want colour");
    schema.text("fit", defaults.fit)
        .choices({"stretch", "pad"})
        .doc("how an image that is not square becomes one: stretched, or between black bars");
    schema.text("label", "")
        .doc(
            "column that becomes the tensor `label` for losses that want one, or several, comma separated, "
            "each "
            "1 or 0 by itself; \"\" = none");
    schema.text("positive", "")
        .doc("value or values, comma separated, that count as 1; \"\" = every class by itself");
    schema.text("negative", "").doc("value that counts as 0; \"\" = all others");
    add_unknown_labels(schema);
    schema.text("mask", "").doc("column of masks that become the tensor `segmentation`; \"\" = none");
    schema.text("patient", defaults.patient)
        .doc(
            "column whose images stay together in a fraction or fold; without it every image is its own "
            "patient");
    schema.number("fraction", defaults.fraction)
        .range(1e-6, 1)
        .doc("train on this share of the patients of each class");
    schema.integer("folds", defaults.folds)
        .range(0, 1000)
        .doc("cross-validation: patients are dealt into so many folds, and [eval] tests on `fold`; 0 = none");
    schema.integer("fold", defaults.fold).range(0, 999).doc("the fold that is not trained on");
    schema.integer("split_seed", defaults.split_seed).range(0, any_count).doc("seed of fraction and folds");
    schema.integer("workers", defaults.workers)
        .range(0, 1024)
        .doc("threads that load images; 0 = chosen by Hearth");
    schema.integer("prefetch", defaults.prefetch).range(1, 1024).doc("batches that are loaded ahead");
    schema.text("cache", defaults.cache)
        .choices({"auto", "none", "memory", "packed"})
        .doc(
            "decoded images at training size: kept in memory (16 bit), or packed once into a file (8 bit) that "
            "all processes map; auto = memory while that takes at most half of what is free, else packed");
    schema.text("cache_folder", defaults.cache_folder)
        .doc("where packed files are; \"\" = hearth in the user's cache folder");
    schema.integer("masks_per_image", defaults.masks_per_image)
        .range(1, 1024)
        .doc(
            "samples made of each image, side by side in a batch: passes that are not trained and see the "
            "image "
            "as it is run once for all of them");
    schema.text("augment_on", defaults.augment_on)
        .choices({"workers", "device"})
        .doc(
            "where views are made: by the loader's workers, or by the device in batches, with the same draws, "
            "where an augment can");
    schema.integer("max_pixels", defaults.max_pixels)
        .range(0, any_count)
        .doc("larger images are set aside as bad; 0 = 100 million");
    schema.number("max_bad", defaults.max_bad)
        .range(0, 1)
        .doc("share of bad images that ends the run (exit code 3)");
    return schema;
}

Schema train_schema() {
    const TrainSpec defaults;
    Schema schema;
    schema.integer("epochs", defaults.epochs).range(1, 1e6).doc("passes over the data");
    schema.integer("batch", defaults.batch)
        .range(1, 1e6)
        .or_word("auto", TrainSpec::auto_batch)
        .doc("samples of one step in one process; \"auto\": as many as fit the memory");
    schema.integer("accumulate", defaults.accumulate)
        .range(1, 1e6)
        .doc("batches whose gradients are summed before the optimiser steps");
    schema.text("precision", defaults.precision)
        .choices({"auto", "bf16", "fp32"})
        .doc("bf16: autocast, with losses and norms in fp32; auto: bf16 where the device gains from it");
    schema.text("device", defaults.device).doc("auto, cpu, cuda or cuda:N");
    schema.integer("seed", defaults.seed).range(0, any_count).doc("seed of everything random");
    schema.integer("threads", defaults.threads)
        .range(0, 4096)
        .doc("threads for arithmetic; 0 = one for each core");
    schema.integer("timeout", defaults.timeout)
        .range(1, 1e6)
        .doc("several processes: seconds until one that does not answer counts as lost, and all end");
    schema.integer("log_every", defaults.log_every).range(1, 1e9).doc("steps between two log lines");
    schema.integer("checkpoint_every", defaults.checkpoint_every)
        .range(0, 1e9)
        .doc("epochs between two kept checkpoints, besides last and best; 0 = none");
    return schema;
}

Schema optimizer_schema() {
    const OptimizerSpec defaults;
    Schema schema;
    schema.text("use", defaults.use).choices({"adamw"}).doc("the optimiser");
    schema.number("lr", 5e-4).range(0, 1e3).schedulable().doc("learning rate, before the scaling by lr_batch");
    schema.number("lr_batch", defaults.lr_batch)
        .range(0, any_count)
        .doc("lr is multiplied by global batch / lr_batch; 0 = lr as written");
    schema.number("layer_decay", defaults.layer_decay)
        .range(0.01, 1)
        .doc("factor on lr from one layer of a backbone to the one below it; 1 = the same for all");
    schema.number("weight_decay", 0.05)
        .range(0, 1e3)
        .schedulable()
        .doc("decoupled weight decay; never on biases and one-dimensional parameters");
    schema.numbers("betas", {defaults.beta1, defaults.beta2})
        .size(2)
        .range(0, 1)
        .doc("decay of the two moments");
    schema.number("eps", defaults.eps).range(0, 1).doc("added to the root of the second moment");
    schema.number("clip", defaults.clip).range(0, 1e9).doc("largest norm of a gradient; 0 = no clipping");
    schema.text("clip_mode", defaults.clip_mode)
        .choices({"tensor", "global"})
        .doc("the norm of each parameter by itself, or of all together");
    schema.texts("clip_slices", {})
        .doc(
            "patterns of parameters that are many of one kind in one tensor, each slice along the first "
            "dimension clipped by its own norm (clip_mode \"tensor\")");
    schema.texts("freeze", {}).doc("patterns of parameter names that get no update at first");
    schema.integer("freeze_epochs", defaults.freeze_epochs).range(0, 1e6).doc("for so many epochs");
    schema.texts("no_decay", {}).doc("patterns of further parameter names without weight decay");
    return schema;
}

Schema monitor_schema() {
    const MonitorSpec defaults;
    Schema schema;
    schema.text("features", "")
        .doc(
            "tensor whose spread and rank are tracked; \"\" = the first trained cls, or where no loss gets it "
            "the mean of its tokens");
    schema.text("assignments", "").doc("tensor of distributions whose entropy is tracked; \"\" = none");
    schema.texts("collapse_if", {})
        .doc("loss terms that show a collapse, each \"TERM < NUMBER\" or \"TERM > NUMBER\"");
    schema.text("on_collapse", defaults.on_collapse).choices({"warn", "stop"}).doc("stop: exit code 5");
    schema.text("on_nan", defaults.on_nan).choices({"warn", "stop"}).doc("stop: exit code 5");
    schema.number("min_rank", defaults.min_rank)
        .range(0, 1e6)
        .doc("effective rank below which features collapsed");
    schema.number("min_std", defaults.min_std)
        .range(0, 1e6)
        .doc("standard deviation below which they collapsed");
    schema.number("min_entropy", defaults.min_entropy)
        .range(0, 1)
        .doc("entropy of the mean assignment / ln K below which assignments collapsed");
    schema.integer("patience", defaults.patience)
        .range(1, 1e9)
        .doc("log lines in a row below a threshold before it counts");
    return schema;
}

Schema labelled_schema() {
    const LabelledSpec defaults;
    Schema schema;
    schema.text("source", "").doc("\"phantom\", or a manifest (CSV) with labels; \"\" = data.source");
    schema.text("train_where", "").doc("rows the probe learns from");
    schema.text("test_where", "").doc("rows it is measured on");
    schema.text("label", defaults.label)
        .doc("column of the label, or several, comma separated, each 1 or 0 by itself");
    schema.text("positive", "")
        .doc("value or values, comma separated, that count as 1; \"\" = every class by itself");
    schema.text("negative", "").doc("value that counts as 0; \"\" = all others");
    add_unknown_labels(schema);
    schema.text("patient", defaults.patient)
        .doc("column for the bootstrap; without it every image is its own patient");
    schema.text("head", "")
        .doc("evaluate these logits, such as \"student.logits\", instead of frozen features");
    schema.text("mask", "").doc("column of masks: `head` writes a segmentation, which is measured by Dice");
    schema.number("fraction", defaults.fraction)
        .range(1e-6, 1)
        .doc("a probe learns from this share of the training patients of each class");
    schema.text("validation_where", "")
        .doc("rows that the thresholds of `head` are chosen on; \"\" = the training rows");
    schema.integer("every", defaults.every).range(0, 1e6).doc("[probe]: epochs between two probes; 0 = never");
    schema.integer("k", defaults.k).range(1, 1e6).doc("neighbours of the k-NN probe");
    schema.text("features", defaults.features)
        .choices({"cls", "mean", "cls+mean"})
        .doc("class token, mean of the patch tokens, or both side by side");
    schema.text("network", "")
        .doc("whose backbone the features are of, such as a follower's; \"\" = the first that is trained");
    schema.text("region", "")
        .doc(
            "column of masks, as for mask: features are the mean of the tokens of what is marked, so that "
            "places of an image are told apart; \"\" = of the whole image");
    schema.integer("folds", defaults.folds)
        .range(0, 100)
        .doc(
            "[eval]: probes by cross-validation over the patients of train_where; test_where is \"\" then; "
            "0 = no");
    schema.text("probe", join(defaults.probes))
        .doc("classifiers on frozen features, comma separated: linear, knn, attentive");
    schema.boolean("overlap", defaults.overlap)
        .doc("test on films and patients that were fitted on too; else that is refused");
    schema.integer("limit", defaults.limit)
        .range(0, any_count)
        .doc("at most so many training and test images; 0 = all");
    schema.integer("size", defaults.size).range(0, 8192).doc("images become size x size pixels; 0 = data.size");
    add_phantoms(schema, defaults.phantom_count, defaults.phantom_seed);
    return schema;
}

}  // namespace hearth::recipe
